// A tour of Pika's API with types generated from its description. Environment: PIKA_URL, PIKA_USERNAME, PIKA_PASSWORD.
import createClient from "openapi-fetch";
import type { components, paths } from "../generated/pika.js";

type ErrorCode = components["schemas"]["Error"]["code"];

/** What every call of openapi-fetch answers. */
interface Answer<T> {
  data?: T | undefined;
  error?: components["schemas"]["Error"] | undefined;
  response: Response;
}

/** The data of a call that has to succeed. */
function data<T>(call: string, answer: Answer<T>): T {
  if (answer.error !== undefined) {
    throw new Error(`${call}: ${answer.response.status} ${answer.error.code}: ${answer.error.message}`);
  }
  return answer.data as T;
}

/** A call has to fail, like this. */
function fails(call: string, answer: Answer<unknown>, status: number, code: ErrorCode): void {
  const found = `${answer.response.status} ${answer.error?.code}`;
  if (found !== `${status} ${code}`) {
    throw new Error(`${call}: expected ${status} ${code}, found ${found}`);
  }
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

async function main(): Promise<void> {
  const baseUrl = setting("PIKA_URL");
  const username = setting("PIKA_USERNAME");
  const password = setting("PIKA_PASSWORD");

  // Log in. Requests carry the session's token.
  const anonymous = createClient<paths>({ baseUrl });
  const login = data("login", await anonymous.POST("/api/login", { body: { username, password } }));
  const pika = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${login.token}` } });
  must(login.user.role === "admin", `${login.user.username} is no administrator`);

  // Create a user.
  const name = `typescript-${Date.now()}`;
  const created = data("createUser", await pika.POST("/api/users", { body: { username: name, role: "user" } }));
  must(created.user.username === name && (created.password ?? "").length >= 8, "createUser: no user or no password");

  // The fleet.
  const agents = data("listAgents", await pika.GET("/api/agents"));
  const agent = agents.items[0];
  if (agent === undefined) throw new Error("listAgents: there is no agent");

  // A day of CPU.
  const end = Date.now();
  const metrics = data("getAgentMetrics", await pika.GET("/api/agents/{id}/metrics", {
    params: { path: { id: agent.id }, query: { type: "cpu", start: end - 24 * 60 * 60 * 1000, end } },
  }));
  const usage = metrics.series.find((series) => series.metric === "usagePercent");
  must(usage?.unit === "percent", "getAgentMetrics: no usagePercent in percent");
  must(usage?.max.some((value) => value !== null && value >= 0) === true, "getAgentMetrics: no value of usagePercent");
  must(usage?.avg.length === metrics.timestamps.length, "getAgentMetrics: values and times differ in number");

  // The newest values.
  const latest = data("getLatestAgentMetrics", await pika.GET("/api/agents/{id}/metrics/latest", {
    params: { path: { id: agent.id } },
  }));
  must((latest.cpu?.coreCount ?? 0) > 0 && (latest.memory?.totalBytes ?? 0) > 0, "getLatestAgentMetrics: no CPU or memory");

  // Live changes of the fleet, up to the first event, which the agent's next sample causes.
  const events = data("followEvents", await pika.GET("/api/events", { parseAs: "stream" }));
  const reader = events?.pipeThrough(new TextDecoderStream()).getReader();
  let read = "";
  while (!/^event: ?(metrics|status)$/m.test(read)) {
    const next = await reader?.read();
    must(next?.done === false, `followEvents: ended after ${JSON.stringify(read)}`);
    read += next?.value ?? "";
  }
  await reader?.cancel();

  // Errors have a code for programs.
  const nobody = "00000000-0000-7000-8000-000000000000";
  fails("getAgent", await pika.GET("/api/agents/{id}", { params: { path: { id: nobody } } }), 404, "not_found");

  // Too many failed logins are answered with 429, which says when to retry.
  const guess = () => anonymous.POST("/api/login", { body: { username: `${name}-guessed`, password: "wrong password" } });
  let guessed = await guess();
  for (let tries = 1; guessed.response.status === 401 && tries < 50; tries += 1) guessed = await guess();
  fails("login", guessed, 429, "too_many_requests");
  must(Number(guessed.response.headers.get("Retry-After")) > 0, "login: 429 without Retry-After");

  // An API token, for programs.
  const token = data("createApiToken", await pika.POST("/api/tokens", {
    body: { name, scopes: ["read"], expiresAt: Date.now() + 60 * 60 * 1000 },
  }));
  const program = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token.token}` } });
  must(data("listAgents", await program.GET("/api/agents")).total > 0, "listAgents: none with an API token");
  fails("listApiTokens", await program.GET("/api/tokens"), 403, "forbidden");

  data("deleteApiToken", await pika.DELETE("/api/tokens/{id}", { params: { path: { id: token.id } } }));
  data("deleteUser", await pika.DELETE("/api/users/{id}", { params: { path: { id: created.user.id } } }));

  // Log out: the token becomes invalid.
  data("logout", await pika.POST("/api/logout"));
  fails("getAccountInfo", await pika.GET("/api/account/info"), 401, "unauthorized");
}

main().catch((error: unknown) => {
  console.error(`typescript: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
