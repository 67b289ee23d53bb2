"""DRF and its schema."""

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "config.foundation.api.KeysetPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.foundation.api.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle", "rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "1200/min", "anon": "60/min"},
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Gateway portal API",
    "DESCRIPTION": (
        "The objects of the portal for programs of the people who use it. Amounts are strings of US dollars.\n\n"
        "Each heading is one kind of object; under it stand its addresses. `Try it out` asks as you, with your role. "
        "What a role may not see is not in its answers. The addresses that AI clients call (`/v1/...`) are on the page Set up."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SCHEMA_PATH_PREFIX": "/api/portal|/dp/v1",
    "SCHEMA_PATH_PREFIX_TRIM": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATIONS": True,
    "ENUM_NAME_OVERRIDES": {
        "OutcomeActionEnum": "billing.models.outcomes.OutcomeRule.Action",
        "PersonStateEnum": "accounts.models.User.State",
        "GroupKindEnum": "accounts.models.Group.Kind",
        "UpstreamStateEnum": "models_catalog.models.Upstream.State",
        "KeyStateEnum": "keys.models.ApiKey.State",
        "KeySecretOriginEnum": "keys.models.KeySecret.Origin",
        "CallOriginEnum": "billing.models.RequestLog.Origin",
        "SourceKindEnum": "migrations_center.models.Source.Kind",
        "ImportRunStateEnum": "migrations_center.models.ImportRun.State",
        "ImportIssueKindEnum": "migrations_center.models.ImportIssue.Kind",
        "TrialKindEnum": "gateway.models_trials.TrialList.Kind",
        "WaveStateEnum": "migrations_center.models.Wave.State",
        "WaveMemberStateEnum": "migrations_center.models.WaveMember.State",
        "CodeStateEnum": "billing.models.RedemptionCode.State",
        "CodePurseEnum": "billing.models.CodeBatch.PurseKind",
        "AlertKindEnum": "billing.models.alerts.AlertKind",
        "ApprovalKindEnum": "billing.models.AdjustmentRequest.Kind",
        "ApprovalStateEnum": "billing.models.AdjustmentRequest.State",
        "TaskStateEnum": "gateway.models_tasks.MediaTask.State",
        "TaskKindEnum": "gateway.models_tasks.MediaTask.Kind",
        "RouteEnum": "keys.models.ApiKey.Route",
        "UsageSourceEnum": "billing.models.RequestLog.UsageSource",
        "PlaneKeyStatusEnum": "gateway.planes.api.serializers.KEY_STATUSES",
        "EventStatusEnum": "gateway.planes.api.serializers.EVENT_STATUSES",
        "EventUsageSourceEnum": "gateway.planes.api.serializers.EVENT_SOURCES",
        "EventOutcomeEnum": "gateway.planes.api.serializers.EVENT_OUTCOMES",
        "OutcomeEnum": "config.foundation.outcomes.Outcome",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.foundation.api_schema.add_errors",
    ],
    # Over a hundred operations: by their headings, with a field to look for one.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "docExpansion": "none", "filter": True},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
