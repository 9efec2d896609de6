"""What an endpoint may be, and that all spellings of one target are one target.

If a spelling got its own canonical form, the same scan would run twice; if an expansion got through, a plan would scan
what it doesn't say.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from scanplan.api.errors import InvalidEndpoint
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints

SPELLINGS = [
    # written, canonical
    ("app.example.com", "app.example.com"),
    ("APP.Example.COM", "app.example.com"),
    ("app.example.com.", "app.example.com"),
    ("app.example.com:8443", "app.example.com:8443"),
    ("app.example.com:0443", "app.example.com:443"),
    ("app.example.com:443", "app.example.com:443"),  # without a scheme no port is the default one
    ("intranet", "intranet"),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("HTTPS://App.Example.com", "https://app.example.com"),
    ("https://app.example.com:443/", "https://app.example.com"),
    ("http://app.example.com:80", "http://app.example.com"),
    ("http://app.example.com:443", "http://app.example.com:443"),
    ("https://app.example.com./", "https://app.example.com"),
    ("https://app.example.com/#top", "https://app.example.com"),
    ("https://app.example.com/Path/", "https://app.example.com/Path/"),  # paths are the server's: nothing is guessed
    ("https://app.example.com?q=1", "https://app.example.com/?q=1"),
    ("https://app.example.com/?q=1", "https://app.example.com/?q=1"),
    ("https://app.example.com/?u=http://other.example", "https://app.example.com/?u=http://other.example"),
    # international names
    ("bücher.example", "xn--bcher-kva.example"),
    ("https://BÜCHER.example/", "https://xn--bcher-kva.example"),
    ("ａｐｐ.example", "app.example"),
    ("app。example", "app.example"),
    # addresses, as inet_aton(3) and every HTTP client under it read them
    ("192.0.2.1", "192.0.2.1"),
    ("192.0.2.1.", "192.0.2.1"),
    ("3221225985", "192.0.2.1"),
    ("0xC0000201", "192.0.2.1"),
    ("0300.0.02.01", "192.0.2.1"),
    ("192.0.513", "192.0.2.1"),
    ("192.513", "192.0.2.1"),
    ("http://0xc0.0.2.1:8080/x", "http://192.0.2.1:8080/x"),
    ("１９２.０.２.１", "192.0.2.1"),
    ("０300。0。2。1", "192.0.2.1"),
    ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
    ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ("https://[2001:0db8::0001]:443", "https://[2001:db8::1]"),
    ("[::ffff:192.0.2.1]", "192.0.2.1"),
    ("[::ffff:c000:201]", "192.0.2.1"),
    # other ways to carry an IPv4 address lead through a gateway: another target
    ("[64:ff9b::192.0.2.1]", "[64:ff9b::c000:201]"),
    ("[2002:c000:201::1]", "[2002:c000:201::1]"),
]

REFUSED = [
    # written, what the message says
    ("", "there is no host"),
    (".", "there is no host"),
    ("https://", "there is no host"),
    ("https:///path", "there is no host"),
    ("a b.example", "one endpoint an entry"),
    ("a.example\nb.example", "one endpoint an entry"),
    ("a.example\x00", "one endpoint an entry"),
    ("a.example\u2028b.example", "one endpoint an entry"),
    ("a.example,b.example", "one endpoint an entry"),
    ("a.example\\b", "quotes and backslashes"),
    ('"a.example"', "quotes and backslashes"),
    ("ftp://a.example", "scheme must be http or https"),
    ("file:///etc/passwd", "scheme must be http or https"),
    ("javascript://a.example/%0aalert(1)", "scheme must be http or https"),
    ("https://user:secret@a.example", "headers from a Secret"),
    ("https://a.example@b.example", "headers from a Secret"),
    ("user@a.example", "headers from a Secret"),
    ("10.0.0.0/8", "a range an address"),
    ("a.example/path", "a path needs a scheme"),
    ("/etc/targets.txt", "a path needs a scheme"),
    ("AS13335", "AS numbers are not expanded"),
    ("as13335:443", "AS numbers are not expanded"),
    ("https://AS13335/", "AS numbers are not expanded"),
    ("ＡＳ１３３３５", "AS numbers are not expanded"),
    ("192.0.2.256", "is not an address"),
    ("192.0.2.1.1", "is not an address"),
    ("09.0.0.1", "is not an address"),
    ("192.0.2.1-192.0.2.9", "is not an address"),
    ("host.123", "is not an address"),
    ("4294967296", "is not an address"),
    ("[2001:db8::g]", "does not appear to be an IPv4 or IPv6 address"),
    ("[fe80::1%25eth0]", "is not an address"),
    ("[2001:db8::1", "Invalid IPv6 URL"),
    ("a..example", "is not a host name"),
    ("a.example..", "is not a host name"),
    ("-l", "is not a host name"),
    ("-u=a.example", "is not a host name"),
    ("@targets.txt", "headers from a Secret"),
    ("*.example.com", "is not a host name"),
    ("a" * 64 + ".example", "is not a host name"),
    (".".join(["a" * 60] * 5), "is not a host name"),
    ("ü" * 64 + ".example", "is not a host name"),
    ("a.example:0", "1 to 65535"),
    ("a.example:65536", "Port out of range"),
    ("a.example:http", "Port could not be cast"),
    ("a.example:-1", "Port could not be cast"),
]


@pytest.mark.parametrize(("written", "canonical"), SPELLINGS)
def test_every_spelling_of_a_target_has_one_form(written: str, canonical: str) -> None:
    assert endpoints.canonical(written) == canonical


@pytest.mark.parametrize(("written", "message"), REFUSED)
def test_what_is_no_single_target_is_refused_and_says_why(written: str, message: str) -> None:
    with pytest.raises(InvalidEndpoint) as refused:
        endpoints.canonical(written)
    assert message in refused.value.message
    assert repr(written) in refused.value.message, "which of 1,000 endpoints is it?"
    assert refused.value.reason is Reason.INVALID_ENDPOINT


def test_lists_are_sorted_and_hold_each_target_once() -> None:
    written = ["https://b.example", "A.example", "https://b.example:443/", "a.example."]
    assert endpoints.canonical_all(written) == ("a.example", "https://b.example")


HOSTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WRITTEN = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text("aA1.:/[]@%0x-_?#。ａ１\u00ad", max_size=20),
    st.builds(
        "{}{}{}".format, st.sampled_from(["", "http://", "HTTPS://"]), HOSTS, st.sampled_from(["", ":80", "/p?q"])
    ),
    st.ip_addresses(v=6).map(lambda address: f"https://[{address}]/"),
)


@hypothesis.given(WRITTEN)
@hypothesis.settings(max_examples=500)
def test_whatever_is_written_is_refused_or_gets_a_form_that_stays(written: str) -> None:
    try:
        form = endpoints.canonical(written)
    except InvalidEndpoint:
        return
    assert endpoints.canonical(form) == form, "a second look would give the same scan another key"
    assert form.isprintable()
    assert not form.startswith(("-", "@"))
    assert "," not in form
    parsed = urlsplit(form if "://" in form else f"//{form}")
    assert shards.host_of(form) == parsed.hostname, "the guard would judge another host than the scanner asks"


@hypothesis.given(st.integers(0, 2**32 - 1), st.data())
def test_an_address_is_the_same_in_all_bases_and_lengths(value: int, data: st.DataObject) -> None:
    octets = list(value.to_bytes(4, "big"))
    length = data.draw(st.integers(1, 4))
    numbers = [*octets[: length - 1], int.from_bytes(bytes(octets[length - 1 :]), "big")]
    forms = data.draw(st.lists(st.sampled_from(["{}", "{:#x}", "0{:o}"]), min_size=length, max_size=length))
    text = ".".join(form.format(number) for form, number in zip(forms, numbers, strict=True))
    assert endpoints.parse_address(text) == ipaddress.IPv4Address(value)
