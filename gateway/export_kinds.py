"""The lists of the gateway that a worker can make: see billing/services/exports.py, which reads this when one is asked for."""

from billing.services.exports import register
from gateway import views_tasks

register("tasks", views_tasks.table_of)
