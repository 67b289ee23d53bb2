from accounts.models.audit import AuditEvent
from accounts.models.mail import OutboundMail
from accounts.models.people import Group, GroupMembership, Invitation, Role, User

__all__ = ["AuditEvent", "Group", "GroupMembership", "Invitation", "OutboundMail", "Role", "User"]
