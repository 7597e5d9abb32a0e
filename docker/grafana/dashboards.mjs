// Makes the dashboards: node dashboards.mjs DIRECTORY (default: the folder `dashboards` beside this file). What is committed is
// what this makes; a test compares. Plain JavaScript without dependencies, in Grafana's classic format (schemaVersion 42).
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = { type: "grafana-postgresql-datasource", uid: "${datasource}" };
const colors = { cpu: "blue", memory: "purple", disk: "orange", received: "green", sent: "yellow", load: "red" };

// --- queries -----------------------------------------------------------------

const query = (format, text, refId = "A") => ({
  datasource: source,
  editorMode: "code",
  format,
  rawQuery: true,
  rawSql: text.trim().replace(/\n\s*/g, "\n"),
  refId,
});
const table = (text) => [query("table", text)];
const series = (text) => [query("time_series", text)];

const span = "$__timeFrom(), $__timeTo(), $__interval_ms";
const ofTag = "('-1' IN ($tag) OR tags && ARRAY[$tag]::text[])";
// Never all agents as series: the picked ones, or the ten worst of all.
const pickedOrWorst = `agent_key = ANY (CASE WHEN '-1' IN ($agent)
  THEN ARRAY(SELECT agent_key FROM grafana.latest ORDER BY cpu_usage_percent DESC NULLS LAST LIMIT 10)
  ELSE ARRAY[$agent]::int4[] END)`;
const ofHost = "agent_key = ${agent_key:sqlstring}";
const inSpan = "time_ms BETWEEN grafana.ms($__timeFrom()) AND grafana.ms($__timeTo())";
// What servers write once a minute, in buckets of at least that.
const servers = (columns, view = "server_history") => `SELECT to_timestamp(bucket / 1000.0) AS time, ${columns} FROM (
    SELECT time_bucket(greatest($__interval_ms, 60000)::int8, time_ms) AS bucket, * FROM grafana.${view} WHERE ${inSpan}
  ) AS rows`;

// --- panels ------------------------------------------------------------------

const steps = (...pairs) => ({
  mode: "absolute",
  steps: [{ color: pairs[0], value: null }, ...chunk(pairs.slice(1))],
});
const chunk = (pairs) => (pairs.length ? [{ value: pairs[0], color: pairs[1] }, ...chunk(pairs.slice(2))] : []);
const fullness = steps("green", 80, "orange", 90, "red");

const panel = (type, title, description, unit, targets, more = {}) => ({
  type,
  title,
  description,
  targets,
  width: more.width ?? 6,
  height: more.height ?? 8,
  datasource: source,
  fieldConfig: {
    defaults: {
      unit,
      ...(more.thresholds && { thresholds: more.thresholds }),
      ...(more.min !== undefined && { min: more.min }),
      ...(more.max !== undefined && { max: more.max }),
      ...(more.color && { color: more.color }),
      ...(more.displayName && { displayName: more.displayName }),
      ...(more.noValue && { noValue: more.noValue }),
      ...(more.custom && { custom: more.custom }),
    },
    overrides: more.overrides ?? [],
  },
  options: more.options ?? {},
});

const reduce = { reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } };
const stat = (title, description, unit, text, more = {}) =>
  panel("stat", title, description, unit, table(text), {
    width: 4,
    height: 4,
    options: { ...reduce, colorMode: more.thresholds ? "value" : "none", graphMode: "none", textMode: "auto" },
    ...more,
  });
const gauge = (title, description, text, more = {}) =>
  panel("gauge", title, description, "percent", table(text), {
    width: 4,
    height: 5,
    min: 0,
    max: 100,
    thresholds: fullness,
    options: reduce,
    ...more,
  });
const bars = (title, description, unit, text, more = {}) =>
  panel("bargauge", title, description, unit, table(text), {
    width: 8,
    min: 0,
    max: 100,
    thresholds: fullness,
    options: { reduceOptions: { calcs: [], fields: "", values: true }, displayMode: "lcd", orientation: "horizontal" },
    ...more,
  });
const chart = (title, description, unit, text, more = {}) =>
  panel("timeseries", title, description, unit, series(text), {
    width: 12,
    min: more.min ?? (unit === "percent" ? 0 : undefined),
    ...more,
    custom: { lineWidth: 1, fillOpacity: more.band ? 0 : 10, showPoints: "never", spanNulls: false, ...more.custom },
    options: {
      legend: more.legend ?? { displayMode: "list", placement: "bottom", calcs: [], showLegend: true },
      tooltip: { mode: "multi", sort: "desc" },
    },
  });
const stacked = { stacking: { mode: "normal", group: "A" }, fillOpacity: 30 };
const manySeries = { displayMode: "table", placement: "right", calcs: ["lastNotNull", "max"], showLegend: true };
const list = (title, description, unit, text, more = {}) =>
  panel("table", title, description, unit, table(text), {
    width: 24,
    height: 10,
    ...more,
    options: { cellHeight: "sm", showHeader: true, ...more.options },
  });

const override = (name, ...properties) => ({
  matcher: { id: "byName", options: name },
  properties: properties.map(([id, value]) => ({ id, value })),
});
const named = (name, displayName, color, ...more) =>
  override(name, ["displayName", displayName], ["color", { mode: "fixed", fixedColor: color }], ...more);
const dashed = ["custom.lineStyle", { fill: "dash", dash: [6, 4] }];
const hidden = (name) => override(name, ["custom.hidden", true]);
const cell = (name, displayName, unit) =>
  override(
    name,
    ["displayName", displayName],
    ["unit", unit],
    ...(unit === "percent"
      ? [
          ["custom.cellOptions", { type: "gauge", mode: "basic" }],
          ["min", 0],
          ["max", 100],
          ["thresholds", fullness],
        ]
      : []),
  );
const link = (name, displayName) =>
  override(
    name,
    ["displayName", displayName],
    ["links", [{ title: "This host", url: "/d/pika-host?var-agent=${__data.fields.agent_id}&${__url_time_range}" }]],
  );

// --- dashboards --------------------------------------------------------------

const variable = (name, label, text, more = {}) => ({
  type: "query",
  name,
  label,
  datasource: source,
  definition: text,
  query: text,
  refresh: 1,
  sort: 0,
  multi: false,
  includeAll: false,
  hide: 0,
  options: [],
  ...more,
});
const all = {
  multi: true,
  includeAll: true,
  allValue: "-1",
  current: { selected: true, text: ["All"], value: ["$__all"] },
};
const datasource = { type: "datasource", name: "datasource", label: "Data source", query: source.type, hide: 0, options: [], refresh: 1, regex: "", multi: false, includeAll: false, current: { selected: true, text: "Pika", value: "pika" } };
const tag = variable("tag", "Tag", "SELECT DISTINCT unnest(tags) AS __text, unnest(tags) AS __value FROM grafana.agents ORDER BY 1 LIMIT 1000", all);
const agents = (more, where = "true", value = "agent_key") =>
  variable(
    "agent",
    "Agent",
    `SELECT agent || CASE WHEN count(*) OVER (PARTITION BY agent) > 1 THEN ' (' || left(agent_id::text, 8) || ')' ELSE '' END AS __text, ${value} AS __value FROM grafana.agents WHERE ${where} ORDER BY 1 LIMIT 1000`,
    more,
  );

// By its id, which is what links have; what the queries filter by follows from it.
const oneAgent = [
  agents({}, "true", "agent_id::text"),
  variable("agent_key", "Key", "SELECT agent_key AS __text, agent_key AS __value FROM grafana.agents WHERE agent_id::text = ${agent:sqlstring}", { hide: 2 }),
];

const annotation = (name, color, text) => ({
  name,
  datasource: source,
  enable: true,
  hide: false,
  iconColor: color,
  target: query("table", text, "Anno"),
});
const annotations = [
  annotation(
    "Gaps",
    "orange",
    `SELECT time, time_end AS timeend, 'samples dropped: ' || reason AS text, agent AS tags FROM grafana.gaps
     WHERE time_ms <= grafana.ms($__timeTo()) AND time_end_ms >= grafana.ms($__timeFrom()) ORDER BY time LIMIT 500`,
  ),
  annotation(
    "Alerts",
    "red",
    `SELECT time, time_end AS timeend, rule || coalesce(' ' || series_name, '') AS text, concat_ws(',', severity, agent) AS tags
     FROM grafana.alerts WHERE time_ms <= grafana.ms($__timeTo())
     AND coalesce(time_end_ms, 9223372036854775807) >= grafana.ms($__timeFrom()) ORDER BY time LIMIT 500`,
  ),
  annotation(
    "Changes",
    "blue",
    `SELECT time, action || coalesce(' ' || object_name, '') AS text FROM grafana.events
     WHERE time_ms BETWEEN grafana.ms($__timeFrom()) AND grafana.ms($__timeTo()) ORDER BY time LIMIT 500`,
  ),
];

/** Lays panels out in rows of 24 columns. */
function dashboard(uid, title, description, from, variables, rows) {
  let id = 0;
  let y = 0;
  const panels = [];
  for (const [rowTitle, ...rowPanels] of rows) {
    panels.push({ id: ++id, type: "row", title: rowTitle, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    let lineHeight = 0;
    for (const { width, height, ...rest } of rowPanels) {
      if (24 < x + width) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      panels.push({ id: ++id, ...rest, gridPos: { x, y, w: width, h: height }, maxDataPoints: 720 });
      x += width;
      lineHeight = Math.max(lineHeight, height);
    }
    y += lineHeight;
  }
  return {
    uid,
    id: null,
    title,
    description,
    tags: ["pika"],
    schemaVersion: 42,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    timezone: "browser",
    time: { from, to: "now" },
    annotations: { list: annotations },
    templating: { list: [datasource, ...variables] },
    links: [{ type: "dashboards", title: "Pika", tags: ["pika"], asDropdown: true, includeVars: false, keepTime: true, icon: "external link", targetBlank: false }],
    panels,
  };
}

const over = (column) => `SELECT count(*) FROM grafana.latest WHERE online AND ${column} > 90 AND ${ofTag}`;
const top = (column) =>
  `SELECT agent, ${column} AS value FROM grafana.latest WHERE ${column} IS NOT NULL AND ${ofTag} ORDER BY ${column} DESC LIMIT 10`;

const fleet = dashboard("pika-fleet", "Pika: fleet", "Is every machine well, and which one is not.", "now-6h", [tag, agents(all, ofTag)], [
  [
    "Now",
    stat("Agents online", "Of all agents with one of the tags.", "short", `SELECT count(*) FILTER (WHERE online) AS online, count(*) AS "of" FROM grafana.latest WHERE ${ofTag}`),
    stat("Offline for 5 minutes", "Agents that were not heard for five minutes.", "short", `SELECT count(*) FROM grafana.latest WHERE last_seen < now() - interval '5 minutes' AND ${ofTag}`, { thresholds: steps("green", 1, "red") }),
    stat("CPU over 90 %", "Agents that are online, by their newest sample.", "short", over("cpu_usage_percent"), { thresholds: steps("green", 1, "orange") }),
    stat("Memory over 90 %", "Agents that are online, by their newest sample.", "short", over("memory_usage_percent"), { thresholds: steps("green", 1, "orange") }),
    stat("Disk over 90 %", "Agents that are online, by their fullest disk.", "short", over("disk_usage_percent"), { thresholds: steps("green", 1, "orange") }),
    stat("Newest sample", "How old the newest sample of all agents is.", "s", "SELECT extract(epoch FROM now() - max(time))::float8 AS age FROM grafana.latest", { thresholds: steps("green", 60, "orange", 300, "red"), noValue: "none yet" }),
  ],
  [
    "Agents",
    list(
      "Agents",
      "The newest values of each; the agent's name leads to its page.",
      "short",
      `SELECT agent_id, agent, array_to_string(tags, ', ') AS tags, online, cpu_usage_percent, memory_usage_percent, disk_usage_percent,
       load1::float8 AS load1, received_bytes_per_second, sent_bytes_per_second, last_seen, version
       FROM grafana.latest WHERE ${ofTag} AND ('-1' IN ($agent) OR agent_key IN ($agent))
       ORDER BY greatest(cpu_usage_percent, memory_usage_percent, disk_usage_percent) DESC NULLS LAST LIMIT 1000`,
      {
        overrides: [
          hidden("agent_id"),
          link("agent", "Agent"),
          cell("tags", "Tags", "string"),
          cell("online", "Online", "bool_on_off"),
          cell("cpu_usage_percent", "CPU", "percent"),
          cell("memory_usage_percent", "Memory", "percent"),
          cell("disk_usage_percent", "Fullest disk", "percent"),
          cell("load1", "Load", "short"),
          cell("received_bytes_per_second", "In", "binBps"),
          cell("sent_bytes_per_second", "Out", "binBps"),
          cell("last_seen", "Last seen", "dateTimeFromNow"),
          cell("version", "Version", "string"),
        ],
      },
    ),
  ],
  [
    "Fleet",
    chart("CPU of the fleet", "Average of all agents, and the largest of any.", "percent", `SELECT time, usage_percent_avg, usage_percent_max FROM grafana.cpu_fleet(${span}) ORDER BY time`, {
      overrides: [named("usage_percent_avg", "average", colors.cpu), named("usage_percent_max", "largest", colors.cpu, dashed)],
    }),
    chart("Memory of the fleet", "In use and installed, all agents together.", "bytes", `SELECT time, used_bytes_total, total_bytes_total FROM grafana.memory_fleet(${span}) ORDER BY time`, {
      min: 0,
      overrides: [named("used_bytes_total", "used", colors.memory), named("total_bytes_total", "installed", colors.memory, dashed)],
    }),
    chart("Network of the fleet", "All interfaces of all agents together; sent below zero.", "binBps", `SELECT time, received_bytes_per_second_total AS received, -sent_bytes_per_second_total AS sent FROM grafana.network_fleet(${span}) ORDER BY time`, {
      overrides: [named("received", "received", colors.received), named("sent", "sent", colors.sent)],
    }),
    chart("Load of the fleet", "Average load of a minute, and the largest of any agent.", "short", `SELECT time, load1_avg, load1_max FROM grafana.load_fleet(${span}) ORDER BY time`, {
      min: 0,
      overrides: [named("load1_avg", "average", colors.load), named("load1_max", "largest", colors.load, dashed)],
    }),
  ],
  [
    "Top ten",
    bars("CPU now", "The ten agents that use most, by their newest sample.", "percent", top("cpu_usage_percent")),
    bars("Memory now", "The ten agents that use most, by their newest sample.", "percent", top("memory_usage_percent")),
    bars("Disks now", "The ten agents with the fullest disks.", "percent", top("disk_usage_percent")),
    chart("CPU by agent", "The agents picked above, or with All the ten that use most now.", "percent", `SELECT time, agent, usage_percent_avg AS "CPU" FROM grafana.cpu(${span}) WHERE ${pickedOrWorst} ORDER BY time`, {
      width: 24,
      height: 10,
      displayName: "${__field.labels.agent}",
      legend: manySeries,
    }),
  ],
]);

const hostLatest = (column) => `SELECT ${column} AS value FROM grafana.latest WHERE ${ofHost}`;
const daysUntilFull = (where, limit) => `WITH days AS MATERIALIZED (
    SELECT disk_key, regr_slope(used_bytes_last, time_ms) * 86400000 AS bytes_a_day, count(*) AS n FROM grafana.disk_1d
    WHERE time_ms >= grafana.ms($__timeTo()) - 1209600000 AND time_ms <= grafana.ms($__timeTo()) AND ${where} GROUP BY disk_key
  ), newest AS (
    SELECT DISTINCT ON (disk_key) agent_key, agent, disk_key, mount_point, used_bytes_last, free_bytes_last,
      100.0 * used_bytes_last / nullif(used_bytes_last + free_bytes_last, 0) AS used_percent
    FROM grafana.disk_1h WHERE time_ms >= grafana.ms($__timeTo()) - 172800000 AND time_ms <= grafana.ms($__timeTo()) AND ${where}
    ORDER BY disk_key, time_ms DESC
  )
  SELECT agent_id, newest.agent, mount_point, used_percent::float8 AS used_percent, used_bytes_last, free_bytes_last, bytes_a_day,
    CASE WHEN 0 < bytes_a_day AND 2 < n THEN free_bytes_last / bytes_a_day END AS days_until_full
  FROM newest JOIN grafana.agents USING (agent_key) LEFT JOIN days USING (disk_key) ORDER BY days_until_full NULLS LAST, used_percent DESC LIMIT ${limit}`;
const disksOverrides = [
  hidden("agent_id"),
  link("agent", "Agent"),
  cell("mount_point", "Mount point", "string"),
  cell("used_percent", "Used", "percent"),
  cell("used_bytes_last", "Used bytes", "bytes"),
  cell("free_bytes_last", "Free bytes", "bytes"),
  cell("bytes_a_day", "Added a day", "bytes"),
  cell("days_until_full", "Days until full", "short"),
];

const host = dashboard("pika-host", "Pika: one host", "Everything of one machine.", "now-6h", oneAgent, [
  [
    "Is it well?",
    gauge("CPU now", "The newest sample.", hostLatest("cpu_usage_percent")),
    gauge("Memory now", "The newest sample.", hostLatest("memory_usage_percent")),
    gauge("Fullest disk now", "The newest sample.", hostLatest("disk_usage_percent")),
    stat("Load now", "Average of the last minute.", "short", hostLatest("load1::float8"), { height: 5 }),
    stat("Clock offset", "How much the server's clock is ahead of the machine's.", "ms", `SELECT clock_offset_ms AS value FROM grafana.agents WHERE ${ofHost}`, { height: 5, thresholds: steps("green", 2000, "orange") }),
    stat("Last seen", "When the server last heard the agent.", "dateTimeFromNow", `SELECT last_seen_ms AS value FROM grafana.agents WHERE ${ofHost}`, { height: 5 }),
  ],
  [
    "Overview",
    chart("CPU", "What it was used for, and the largest use of a sample.", "percent", `SELECT time, user_percent_avg AS "user", system_percent_avg AS system, iowait_percent_avg AS iowait, steal_percent_avg AS steal, usage_percent_max AS largest FROM grafana.cpu(${span}) WHERE ${ofHost} ORDER BY time`, {
      custom: { stacking: { mode: "normal", group: "A" } },
      overrides: [override("largest", ["custom.stacking", { mode: "none" }], ["custom.fillOpacity", 0], dashed)],
    }),
    chart("Memory", "In use, available to programs, and installed.", "bytes", `SELECT time, used_bytes_avg AS used, available_bytes_avg AS available, total_bytes_avg AS installed FROM grafana.memory(${span}) WHERE ${ofHost} ORDER BY time`, { min: 0 }),
    chart("Network", "All interfaces together; sent below zero.", "binBps", `SELECT time, sum(received_bytes_per_second_avg) AS received, -sum(sent_bytes_per_second_avg) AS sent FROM grafana.network(${span}) WHERE ${ofHost} GROUP BY time ORDER BY time`, {
      overrides: [named("received", "received", colors.received), named("sent", "sent", colors.sent)],
    }),
    chart("Disks used", "Percent of each file system.", "percent", `SELECT time, mount_point, usage_percent_avg AS used FROM grafana.disk(${span}) WHERE ${ofHost} ORDER BY time`, { max: 100, displayName: "${__field.labels.mount_point}", legend: manySeries }),
  ],
  [
    "Load and errors",
    chart("Load", "Averages of 1, 5 and 15 minutes.", "short", `SELECT time, load1_avg AS "1 min", load5_avg AS "5 min", load15_avg AS "15 min" FROM grafana.load(${span}) WHERE ${ofHost} ORDER BY time`, { min: 0 }),
    chart("Network errors", "Packets a second that were received or sent with an error, by interface.", "short", `SELECT time, interface, receive_errors_per_second_avg AS received, send_errors_per_second_avg AS sent FROM grafana.network(${span}) WHERE ${ofHost} ORDER BY time`, { min: 0, legend: manySeries }),
  ],
  ["Disks", list("All disks", "How full they are, and when they will be full if they go on as in the last two weeks.", "short", daysUntilFull(ofHost, 100), { overrides: disksOverrides })],
  [
    "Peaks and samples",
    list("Busiest minutes", "The ten buckets of the span in which a sample used most.", "percent", `SELECT time, usage_percent_max AS largest, usage_percent_avg AS average FROM grafana.cpu(${span}) WHERE ${ofHost} ORDER BY usage_percent_max DESC LIMIT 10`, { width: 12, overrides: [override("time", ["unit", "dateTimeAsIso"])] }),
    chart("Samples", "How many samples an hour came in: fewer than usual means that some are missing.", "short", `SELECT time, samples FROM grafana.cpu_1h WHERE time_ms BETWEEN grafana.ms($__timeFrom()) AND grafana.ms($__timeTo()) AND ${ofHost} ORDER BY time`, { min: 0, height: 10 }),
  ],
]);

const capacity = dashboard("pika-capacity", "Pika: capacity and storage", "What will run out, what is not needed, and how long what is kept.", "now-90d", [tag], [
  [
    "What will run out",
    list("Disks by days until full", "If they go on as in the last two weeks.", "short", daysUntilFull(`agent_key IN (SELECT agent_key FROM grafana.agents WHERE ${ofTag})`, 200), { overrides: disksOverrides }),
    chart("CPU of the fleet, by the day", "Average of all agents, and the largest of any.", "percent", "SELECT time, usage_percent_avg AS average, usage_percent_max AS largest FROM grafana.cpu_fleet($__timeFrom(), $__timeTo(), 86400000) ORDER BY time"),
    chart("Disks of the fleet, by the day", "In use and in all, all agents together.", "bytes", "SELECT time, used_bytes_total AS used, total_bytes_total AS \"all\" FROM grafana.disk_fleet($__timeFrom(), $__timeTo(), 86400000) ORDER BY time", { min: 0 }),
  ],
  [
    "What is not needed",
    list(
      "Least used agents",
      "By their average use of processor over the span.",
      "percent",
      `SELECT agent_id, agents.agent, average, largest FROM (
         SELECT agent_key, sum(usage_percent_sum) / nullif(sum(usage_percent_n), 0) AS average, max(usage_percent_max)::float8 AS largest
         FROM grafana.cpu_1d WHERE ${inSpan} GROUP BY agent_key
       ) AS used JOIN grafana.agents AS agents USING (agent_key) ORDER BY average LIMIT 20`,
      { width: 24, overrides: [hidden("agent_id"), link("agent", "Agent"), cell("average", "Average", "percent"), cell("largest", "Largest", "percent")] },
    ),
  ],
  [
    "Storage",
    stat("Database size", "Size of the database.", "bytes", "SELECT pg_database_size(current_database()) AS bytes"),
    stat("Grown by", "By how much the database has grown in the span, a day.", "bytes", `SELECT regr_slope(database_bytes, time_ms) * 86400000 AS bytes_a_day FROM grafana.storage_history WHERE ${inSpan} AND tier = 'raw'`, { noValue: "not known yet" }),
    list("Kept", "How long each tier is kept; nothing: for ever.", "dtdurationms", "SELECT tier, keep_ms AS keep, kept_from FROM grafana.retention ORDER BY keep_ms NULLS LAST", { width: 16, height: 6, overrides: [cell("tier", "Tier", "string"), cell("keep", "Kept for", "dtdurationms"), cell("kept_from", "Kept from", "dateTimeAsIso")] }),
    chart("Metrics by tier", "Size on disk of all metrics, indexes included.", "bytes", `SELECT time, tier, sum(bytes)::float8 AS bytes FROM grafana.storage_history WHERE ${inSpan} GROUP BY time, tier ORDER BY time, tier`, { min: 0, displayName: "${__field.labels.tier}", custom: stacked }),
    chart("Size of the database", "All of it, and the metrics alone.", "bytes", `SELECT time, max(database_bytes) AS database, sum(bytes)::float8 AS metrics FROM grafana.storage_history WHERE ${inSpan} GROUP BY time ORDER BY time`, { min: 0 }),
    list(
      "Tables",
      "As last measured, at most an hour ago. What is compressed: Community edition only.",
      "bytes",
      `SELECT relation, family, tier, bytes, chunks, columnstore_chunks,
       100.0 * columnstore_bytes_after / nullif(columnstore_bytes_before, 0) AS compressed_to, oldest
       FROM grafana.storage_history WHERE time_ms = (SELECT max(time_ms) FROM grafana.storage_history) ORDER BY bytes DESC LIMIT 200`,
      {
        overrides: [
          cell("relation", "Table", "string"),
          cell("family", "Family", "string"),
          cell("tier", "Tier", "string"),
          cell("bytes", "Size", "bytes"),
          cell("chunks", "Chunks", "short"),
          cell("columnstore_chunks", "Compressed chunks", "short"),
          cell("compressed_to", "Compressed to", "percent"),
          cell("oldest", "Oldest chunk", "dateTimeAsIso"),
        ],
      },
    ),
  ],
]);

const ofServer = "${__field.labels.server}";
const self = dashboard("pika-self", "Pika itself", "Whether Pika does its own work.", "now-6h", [], [
  [
    "Now",
    stat("Newest sample", "How old the newest sample of all agents is.", "s", "SELECT extract(epoch FROM now() - max(time))::float8 AS age FROM grafana.latest", { thresholds: steps("green", 60, "orange", 300, "red"), noValue: "none yet" }),
    stat("Agents online", "Of all agents.", "short", 'SELECT count(*) FILTER (WHERE online) AS online, count(*) AS "of" FROM grafana.agents'),
    stat("Identity conflicts", "Agents whose identity two machines have used within a day.", "short", "SELECT count(*) FROM grafana.agents WHERE now() - interval '1 day' < identity_conflict", { thresholds: steps("green", 1, "red") }),
    stat("Alerts", "That are firing.", "short", "SELECT count(*) FROM grafana.alerts WHERE state = 'firing'", { thresholds: steps("green", 1, "orange") }),
    stat("Database size", "Size of the database.", "bytes", "SELECT pg_database_size(current_database()) AS bytes"),
    stat("Connections", "To the database, by everybody.", "short", "SELECT numbackends AS connections FROM pg_stat_database WHERE datname = current_database()"),
  ],
  [
    "Samples",
    chart("Agents that reported", "How many agents have samples in each bucket.", "short", `SELECT time, agents FROM grafana.cpu_fleet(${span}) ORDER BY time`, { min: 0 }),
    chart("Dropped samples", "Samples that agents had to drop, by when that began.", "short", "SELECT time_bucket('1 minute', time) AS time, sum(samples)::float8 AS dropped FROM grafana.gaps WHERE time_ms BETWEEN grafana.ms($__timeFrom()) AND grafana.ms($__timeTo()) GROUP BY 1 ORDER BY 1", { min: 0 }),
  ],
  [
    "Servers",
    chart("Rows stored a second", "By server. What had been stored already does not count.", "short", `${servers("server, 1000.0 * sum(rows_stored) / sum(interval_ms) AS rows")} GROUP BY bucket, server ORDER BY time, server`, { min: 0, displayName: ofServer }),
    chart("Time to the acknowledgement", "From the arrival of a frame to its commit: median, and 99th percentile dashed, the worst server of each.", "ms", `${servers("max(ack_p50_ms) AS median, max(ack_p99_ms) AS p99")} GROUP BY bucket ORDER BY time`, { min: 0, overrides: [named("median", "median", "green"), named("p99", "99th percentile", "green", dashed)] }),
    chart("Agents and connections", "Of all servers together; connections include the agents'.", "short", `SELECT to_timestamp(bucket / 1000.0) AS time, sum(agents) AS agents, sum(connections) AS connections FROM (${servers("bucket, server, avg(agents_connected) AS agents, avg(connections) AS connections")} GROUP BY bucket, server) AS by_server GROUP BY bucket ORDER BY time`, { min: 0 }),
    chart("Waiting", "Rows received and not committed yet, and frames before the batcher: the most of any server.", "short", `${servers("max(pending_rows) AS rows, max(queue_frames) AS frames")} GROUP BY bucket ORDER BY time`, { min: 0 }),
    chart("Refusals a minute", "Of what agents sent, by error code; the log names the agents.", "short", `${servers("code, 60000.0 * sum(refusals) / greatest($__interval_ms, 60000) AS refusals", "refusals")} GROUP BY bucket, code ORDER BY time, code`, { min: 0, displayName: "${__field.labels.code}" }),
    chart("Errors a minute", "Flushes that failed, which are retried; errors of the database; frames that were lost on the way; samples that agents had to drop.", "short", `${servers(["flush_errors", "database_errors", "frames_missing", "samples_dropped"].map((column) => `60000.0 * sum(${column}) / sum(interval_ms) AS ${column}`).join(", "))} GROUP BY bucket ORDER BY time`, { min: 0, overrides: [named("flush_errors", "flushes", "red"), named("database_errors", "database", "orange"), named("frames_missing", "lost frames", "purple"), named("samples_dropped", "dropped samples", "blue")] }),
    chart("Processor", "Of one core, by server.", "percent", `${servers("server, avg(cpu_percent) AS cpu")} GROUP BY bucket, server ORDER BY time, server`, { displayName: ofServer }),
    chart("Memory", "Resident memory, by server.", "bytes", `${servers("server, max(resident_bytes) AS bytes")} GROUP BY bucket, server ORDER BY time, server`, { min: 0, displayName: ofServer }),
  ],
  [
    "Rollups and database",
    list("Rollups", "Up to when each is complete. Finer tiers answer for the rest.", "short", "SELECT family, tier, complete_until, lag_ms FROM grafana.freshness ORDER BY tier DESC, family", { width: 12, overrides: [cell("complete_until", "Complete until", "dateTimeAsIso"), cell("lag_ms", "Behind", "dtdurationms")] }),
    list("Database statistics", "Since the statistics were last reset.", "short", "SELECT numbackends AS connections, xact_commit AS commits, xact_rollback AS rollbacks, deadlocks, 100.0 * blks_hit / nullif(blks_hit + blks_read, 0) AS cache_hits FROM pg_stat_database WHERE datname = current_database()", { width: 12, overrides: [cell("cache_hits", "Read from cache", "percent")] }),
  ],
]);

const directory = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "dashboards");
mkdirSync(directory, { recursive: true });
for (const made of [fleet, host, capacity, self]) {
  writeFileSync(join(directory, `${made.uid}.json`), `${JSON.stringify(made, null, 2)}\n`);
}
