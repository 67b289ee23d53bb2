"""The portal's pages with their static files, for a server process of the browser tests (production serves collected files)."""

from django.contrib.staticfiles.handlers import StaticFilesHandler

from config.wsgi import application as pages

application = StaticFilesHandler(pages)
