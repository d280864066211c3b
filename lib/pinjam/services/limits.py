"""How often borrowers and strangers may try what costs money, work or secrets.

Three things are counted: tries of one account from one address (a pair), of one account from anywhere, and from
one address for anything. Only the pair is ever locked; what is counted for an account alone is high, slows, and
does not concern an address from which its owner has logged in before. So nobody can lock out a borrower by
guessing: from another address, by passkey or by recovery, the borrower still gets in.

Whether an account exists makes no difference: an identifier is counted as it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Literal

from pinjam.domain.throttle import LockOut, Rate
from pinjam.services.errors import Denied, TooMany

if TYPE_CHECKING:
    from pinjam.services.ports import Cache

LimitName = Literal["login", "passkey", "forgot", "reset", "register", "upload", "apply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one kind of call may do; None does not limit. `code` names the problem."""

    pair: Rate | LockOut | None = None
    account: Rate | None = None
    address: Rate | None = None
    code: str = "too-many-requests"


GUESSES = LockOut(free=5, first_s=60, longest_s=3600, forget_s=86_400)
"""Five tries cover a mistyped password; then 1, 2, 4 ... minutes, at most an hour: under 30 guesses a day."""

STRICT: Final[Mapping[LimitName, Limit]] = {
    # Phones share addresses by the thousand behind their carriers: what an address may do has to be generous.
    # Counted are wrong passwords only. 1,500 a day for an account, from any number of addresses, guess nothing
    # that the password rules let through.
    "login": Limit(
        pair=GUESSES,
        account=Rate(burst=50, every_s=60),
        address=Rate(burst=100, every_s=30),
        code="too-many-attempts",
    ),
    # Nothing can be guessed; each try keeps a challenge and costs a signature check.
    "passkey": Limit(account=Rate(burst=30, every_s=10), address=Rate(burst=300, every_s=2)),
    # Each sends a message, which costs money and annoys.
    "forgot": Limit(
        pair=Rate(burst=3, every_s=600), account=Rate(burst=20, every_s=300), address=Rate(burst=60, every_s=30)
    ),
    # A code has tries of its own; this is for those who ask for one code after another.
    "reset": Limit(
        pair=GUESSES,
        account=Rate(burst=50, every_s=60),
        address=Rate(burst=100, every_s=30),
        code="too-many-attempts",
    ),
    # The answer tells whether an e-mail address, phone number or NIK is registered: not by the thousand.
    "register": Limit(address=Rate(burst=100, every_s=36)),
    # A borrower needs three papers; each is 10 MB and is decoded.
    "upload": Limit(account=Rate(burst=30, every_s=60), address=Rate(burst=300, every_s=2)),
    # The policy allows three applications a month; the rest are repeats and corrections.
    "apply": Limit(account=Rate(burst=20, every_s=60), address=Rate(burst=300, every_s=2)),
}

GUESSED: Final[tuple[LimitName, ...]] = ("login", "reset")
"""Where secrets can be guessed."""
_MANY = 1000


def _relaxed(rate: Rate | None) -> Rate | None:
    return replace(rate, burst=rate.burst * _MANY) if rate else None


RELAXED: Final[Mapping[LimitName, Limit]] = {
    name: replace(limit, account=_relaxed(limit.account), address=_relaxed(limit.address))
    for name, limit in STRICT.items()
}
"""For a system on one machine, where all that anybody does comes from one address; guessing is as limited."""

KNOWN_S = 90 * 86_400
"""For so long an address from which somebody logged in stays known."""
BUSY_MS = 1000
_TRIES = 20

_Used = tuple[str, Rate | LockOut]


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts, and refuses with TooMany. `now` gives seconds since 1970; `fingerprint` is a keyed hash.

    The cache sees no identifier and no address, only their fingerprints.
    """

    cache: Cache
    table: Mapping[LimitName, Limit]
    now: Callable[[], float]
    fingerprint: Callable[[str], str]

    def check(self, name: LimitName, *, account: str = "", address: str = "") -> None:
        """Count one call; TooMany, and nothing counted, when it is one too many.

        `account` is a borrower's id, or an identifier in its one spelling (`sessions.identify`) whether or not
        anybody has it; `address` is `Call.address`. What is empty does not count.
        """
        self._take(name, account, address)

    @contextmanager
    def attempt(self, name: LimitName, *, account: str, address: str) -> Iterator[None]:
        """As `check`, around a try that can be wrong: only one that ends in Denied stays counted.

        It counts before it is known to be wrong, so that a thousand at once are not all the first. One that
        succeeds clears what the pair has tried.
        """
        used = self._take(name, account, address)
        wrong = succeeded = False
        try:
            yield
            succeeded = True
        except Denied:
            wrong = True
            raise
        finally:
            # A provider that is down says nothing about the password.
            if not wrong:
                self._give_back(used)
            if succeeded:
                self.welcome(account=account, address=address)

    def welcome(self, *, account: str, address: str) -> None:
        """Somebody proved to be the account's owner: wrong tries from there were their own, and theirs the address."""
        who, where = self._digest(account), self._digest(_network(address))
        for name in GUESSED:
            pair = f"{name}:{who}:{where}"
            self.cache.swap(pair, self.cache.get(pair), None, keep_s=0)
        if where:
            known = f"known:{who}:{where}"
            self.cache.swap(known, self.cache.get(known), "1", keep_s=KNOWN_S)

    def _take(self, name: LimitName, account: str, address: str) -> list[_Used]:
        limit = self.table[name]
        who, where = self._digest(account), self._digest(_network(address))
        rules: list[tuple[str, Rate | LockOut | None]] = []
        if who:
            rules.append((f"{name}:{who}:{where}", limit.pair))
            if not self._is_known(who, where):
                rules.append((f"{name}:{who}", limit.account))
        if where:
            rules.append((f"{name}:@{where}", limit.address))
        used: list[_Used] = []
        for key, rule in rules:
            if rule is None:
                continue
            wait_ms = self._update(key, rule, rule.take)
            if wait_ms:
                self._give_back(used)
                raise TooMany(math.ceil(wait_ms / 1000), limit.code)
            used.append((key, rule))
        return used

    def _give_back(self, used: list[_Used]) -> None:
        def give_back(rule: Rate | LockOut) -> Callable[[str | None, int], tuple[str | None, int]]:
            return lambda state, now_ms: (rule.give_back(state, now_ms), 0)

        for key, rule in used:
            self._update(key, rule, give_back(rule))

    def _is_known(self, who: str, where: str) -> bool:
        return bool(where) and self.cache.get(f"known:{who}:{where}") is not None

    def _update(
        self, key: str, rule: Rate | LockOut, change: Callable[[str | None, int], tuple[str | None, int]]
    ) -> int:
        """Put a rule's next state in place of the present one; the wait in ms that it asks for."""
        for _ in range(_TRIES):
            state = self.cache.get(key)
            following, wait_ms = change(state, int(self.now() * 1000))
            if following == state or self.cache.swap(key, state, following, keep_s=rule.memory_s):
                return wait_ms
        # More at once than can be counted is too many.
        return BUSY_MS

    def _digest(self, value: str) -> str:
        return self.fingerprint(value)[:32] if value else ""


def _network(address: str) -> str:
    """What belongs to one subscriber: an IPv4 address, or the first half of an IPv6 address."""
    if not address:
        return ""
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
