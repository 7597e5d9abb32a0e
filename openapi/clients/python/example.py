"""A tour of Pika's API with the client generated from its description.

Environment: PIKA_URL, PIKA_USERNAME, PIKA_PASSWORD.
"""

import os
import sys
import time
from typing import TypeVar
from uuid import UUID

from pika_client import AuthenticatedClient, Client
from pika_client.api.account import create_api_token, delete_api_token, get_account_info, list_api_tokens, login, logout
from pika_client.api.agents import get_agent, get_agent_metrics, get_latest_agent_metrics, list_agents
from pika_client.api.users import create_user, delete_user
from pika_client.models import (
    ApiTokenRequest,
    Error,
    LatestCpu,
    LatestMemory,
    LoginRequest,
    MetricType,
    Role,
    Scope,
    UserRequest,
)
from pika_client.types import Response

T = TypeVar("T")

DAY_MS = 24 * 60 * 60 * 1000


def data(call: str, response: Response[Error | T]) -> T:
    """Returns the data of a call that has to succeed."""
    parsed = response.parsed
    if isinstance(parsed, Error):
        sys.exit(f"python: {call}: {response.status_code} {parsed.code}: {parsed.message}")
    if parsed is None:
        sys.exit(f"python: {call}: {response.status_code} is not described")
    return parsed


def fails(call: str, response: Response[Error | T], status: int, code: str) -> None:
    """Checks that a call fails with this status and code."""
    found = response.parsed.code if isinstance(response.parsed, Error) else None
    if (response.status_code, found) != (status, code):
        sys.exit(f"python: {call}: expected {status} {code}, found {response.status_code} {found}")


def must(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"python: {what}")


def main() -> None:
    url, username, password = (os.environ[f"PIKA_{name}"] for name in ("URL", "USERNAME", "PASSWORD"))

    # Log in. Requests carry the session's token.
    anonymous = Client(base_url=url)
    session = data("login", login.sync_detailed(client=anonymous, body=LoginRequest(username, password)))
    pika = AuthenticatedClient(base_url=url, token=session.token)
    must(session.user.role == "admin", f"{session.user.username} is no administrator")

    # Create a user.
    name = f"python-{time.time_ns()}"
    created = data("createUser", create_user.sync_detailed(client=pika, body=UserRequest(name, role=Role.USER)))
    must(created.user.username == name, "createUser: another name")
    must(isinstance(created.password, str) and len(created.password) >= 8, "createUser: no password")

    # The fleet.
    agents = data("listAgents", list_agents.sync_detailed(client=pika))
    must(agents.total > 0, "listAgents: there is no agent")
    agent = agents.items[0]

    # A day of CPU.
    end = time.time_ns() // 1_000_000
    metrics = data(
        "getAgentMetrics",
        get_agent_metrics.sync_detailed(
            agent.id, client=pika, type_=MetricType.CPU, start=end - DAY_MS, end=end
        ),
    )
    usage = next(series for series in metrics.series if series.metric == "usagePercent")
    must(usage.unit == "percent", "getAgentMetrics: usagePercent is not in percent")
    must(any(value is not None and value >= 0 for value in usage.max_), "getAgentMetrics: no value of usagePercent")
    must(len(usage.avg) == len(metrics.timestamps), "getAgentMetrics: values and times differ in number")

    # The newest values.
    latest = data("getLatestAgentMetrics", get_latest_agent_metrics.sync_detailed(agent.id, client=pika))
    must(isinstance(latest.cpu, LatestCpu) and latest.cpu.core_count > 0, "getLatestAgentMetrics: no CPU")
    must(isinstance(latest.memory, LatestMemory) and latest.memory.total_bytes > 0, "getLatestAgentMetrics: no memory")

    # Errors have a code for programs.
    nobody = UUID("00000000-0000-7000-8000-000000000000")
    fails("getAgent", get_agent.sync_detailed(nobody, client=pika), 404, "not_found")

    # Too many failed logins are answered with 429, which says when to retry.
    guess = LoginRequest(f"{name}-guessed", "wrong password")
    guessed = login.sync_detailed(client=anonymous, body=guess)
    for _ in range(50):
        if guessed.status_code != 401:
            break
        guessed = login.sync_detailed(client=anonymous, body=guess)
    fails("login", guessed, 429, "too_many_requests")
    must(int(guessed.headers["Retry-After"]) > 0, "login: 429 without Retry-After")

    # An API token, for programs.
    token = data(
        "createApiToken",
        create_api_token.sync_detailed(
            client=pika, body=ApiTokenRequest(name, [Scope.READ], expires_at=end + DAY_MS)
        ),
    )
    program = AuthenticatedClient(base_url=url, token=token.token)
    must(data("listAgents", list_agents.sync_detailed(client=program)).total > 0, "listAgents: none with an API token")
    fails("listApiTokens", list_api_tokens.sync_detailed(client=program), 403, "forbidden")

    must(delete_api_token.sync_detailed(token.id, client=pika).status_code == 204, "deleteApiToken: not 204")
    must(delete_user.sync_detailed(created.user.id, client=pika).status_code == 204, "deleteUser: not 204")

    # Log out: the token becomes invalid.
    must(logout.sync_detailed(client=pika).status_code == 204, "logout: not 204")
    fails("getAccountInfo", get_account_info.sync_detailed(client=pika), 401, "unauthorized")


if __name__ == "__main__":
    main()
