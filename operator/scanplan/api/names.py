"""Rules for names of Kubernetes objects and their keys: patterns for the CRD, and checks for programs.

A name becomes a segment of a request's path. An invalid name could lead to another object, in another namespace.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import re

MAX_LABEL = 63
"""Characters of a DNS label, and of a label's value."""
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_LABEL = rf"^{_LABEL}$"
"""Name of a namespace or a Service."""
NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A `DNS_LABEL` with its bound, where no maximum length stands beside the pattern."""
DNS_SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
"""Name of a ConfigMap, Secret, claim, service account, Job or plan."""
MAX_SUBDOMAIN = 253
"""Characters of a DNS subdomain."""
_DNS_SUBDOMAIN = re.compile(DNS_SUBDOMAIN)
DATA_KEY = r"^([-_A-Za-z0-9]|\.[-_A-Za-z0-9])[-._A-Za-z0-9]*$"
"""Key of a ConfigMap or Secret: the name of a file, so it never begins with two dots, and is not one alone."""

HOST_NAME = r"^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9])?)*$"
"""A name of DNS, not an address."""
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""Name of a template variable, ``{{name}}`` in a template."""
RESERVED_VARIABLES = frozenset(
    {"baseurl", "rooturl", "hostname", "host", "port", "path", "query", "file", "scheme", "schema", "input", "fqdn"}
    | {"rdn", "dn", "tld", "sd", "ip", "interactsh-url", "interactsh-protocol"}
)
"""Names of template variables, in lower case, that Nuclei sets for each target."""
PROXY = r"^(https?|socks5)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$"
"""The URL of a proxy. It has no place for credentials: plans are read by many."""
INTERACTSH_SERVER = r"^(https?://)?([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"
"""One server, never a list: of a list Nuclei takes any."""
SPACE = r"\t\n\f\r "
"""White space, to be written inside of ``[]``. It stands for ``\\s``, which engines read differently: Python also takes the spaces
of Unicode. Go, in which the API server is written, takes these five alone."""
WORD = rf"^[^{SPACE}]+$"
"""Text without white space."""
LIST_ENTRY = rf"^[^{SPACE},]+$"
"""One entry of what elsewhere is written as a list with commas: an endpoint, an entry of NO_PROXY. CEL would cost too much on
1,000 endpoints: the pattern refuses what no entry may have; the planner parses the rest."""

_QUALIFIED = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
LABEL_KEY = rf"^({_LABEL}([.]{_LABEL})*/)?{_QUALIFIED}$"
"""Key of a label, with or without a prefix."""
LABEL_VALUE = rf"^({_QUALIFIED})?$"
_LABEL_VALUE = re.compile(_QUALIFIED)
_LABEL_KEY = re.compile(LABEL_KEY)
TIME_ZONE = r"^[A-Za-z0-9][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}$"
"""Name of a zone of the IANA time zone database. The operator knows which of them exist."""
MAX_LABEL_KEY = 317
"""Characters of a prefix, the slash and a name."""


def is_object_name(text: str) -> bool:
    """Whether it may be the name of a ConfigMap, Secret, claim, service account, Job, Lease or plan."""
    return len(text) <= MAX_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Whether it may be a label's value, other than the empty one."""
    return len(text) <= MAX_LABEL and _LABEL_VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether it may be a label's key."""
    prefix, _, name = text.rpartition("/")
    return len(prefix) <= MAX_SUBDOMAIN and len(name) <= MAX_LABEL and _LABEL_KEY.fullmatch(text) is not None
