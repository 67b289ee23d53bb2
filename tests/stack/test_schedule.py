"""The schedule of beat and the doors of the workers belong together."""

from datetime import timedelta

from django.conf import settings

from config.celery import app


def test_every_regular_task_has_a_door_and_the_broker_is_ours() -> None:
    app.loader.import_default_modules()
    named = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert len(named) >= 19
    assert named <= set(app.tasks)
    assert app.conf.broker_url.startswith("redis://")
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert timedelta(seconds=3) <= entry["schedule"] <= timedelta(days=1), name


def test_regular_work_names_its_ids_only() -> None:
    """Arguments of the schedule are words of ours, never anything of a person."""
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert all(isinstance(word, str) and word.isalpha() for word in entry.get("args", ()))
