//! Measures a chart in three interleaved ways: through the API, as plain SQL for the same rows on a prepared
//! connection, and as plain SQL computed from raw samples.

use std::time::{Duration, Instant};

use pika_server::domain::family::Family;
use pika_server::domain::tier::Tier;
use pika_server::store::statements;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::error::BenchError;
use crate::subject::Subject;
use crate::timing::Timing;

/// An agent whose chart is measured.
#[derive(Clone, Debug)]
pub(crate) struct AgentHandle {
    pub(crate) id: String,
    pub(crate) key: i32,
}

/// The measurements.
#[derive(Debug)]
pub(crate) struct ChartTimings {
    pub(crate) tier: &'static str,
    pub(crate) n_rows: usize,
    pub(crate) api: Option<Timing>,
    pub(crate) bare: Option<Timing>,
    pub(crate) from_raw: Option<Timing>,
}

/// The relevant part of the API's response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    start: i64,
    end: i64,
    interval_ms: i64,
    tier: String,
    timestamps: Vec<i64>,
    series: Vec<AnsweredSeries>,
}

#[derive(Deserialize)]
struct AnsweredSeries {
    p95: Option<IgnoredAny>,
}

/// A prepared statement with the bounds between its tiers.
struct Prepared {
    statement: Statement,
    bounds: Vec<i64>,
}

/// A chart of the span before `end`.
pub(crate) struct Chart<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) client: &'a Client,
    pub(crate) family: Family,
    pub(crate) span_ms: i64,
    pub(crate) end: i64,
}

impl Chart<'_> {
    /// Measures the chart of these agents in turn, after a warm-up round.
    pub(crate) async fn measure(
        &self,
        agents: &[AgentHandle],
        n_runs: usize,
        n_runs_from_raw: usize,
    ) -> Result<ChartTimings, BenchError> {
        let Some(first) = agents.first() else {
            return Err(BenchError::Usage("there is no agent to measure".to_owned()));
        };
        let answer = self.answer(first).await?;
        let Some(tier) = Tier::parse(&answer.tier) else {
            return Err(BenchError::Answer(format!("an unknown tier: {}", answer.tier)));
        };
        let bare = self.prepare_chart(tier, &answer).await?;
        let from_raw = self.prepare_chart(Tier::Raw, &answer).await?;
        let n_rows = self.check(first, &answer, &bare, &from_raw).await?;
        for agent in agents {
            self.api(agent).await?;
            self.sql(agent, &answer, &bare).await?;
        }
        let (mut api_times, mut bare_times, mut raw_times) = (Vec::new(), Vec::new(), Vec::new());
        // Interleaved, so that disturbances affect all.
        for agent in agents.iter().cycle().take(n_runs) {
            api_times.push(self.api(agent).await?);
            bare_times.push(self.sql(agent, &answer, &bare).await?.0);
        }
        for agent in agents.iter().take(n_runs_from_raw) {
            self.sql(agent, &answer, &from_raw).await?;
        }
        for agent in agents.iter().cycle().take(n_runs_from_raw) {
            raw_times.push(self.sql(agent, &answer, &from_raw).await?.0);
        }
        Ok(ChartTimings {
            tier: tier.name(),
            n_rows,
            api: Timing::of(api_times),
            bare: Timing::of(bare_times),
            from_raw: Timing::of(raw_times),
        })
    }

    fn path(&self, agent: &AgentHandle) -> String {
        let (name, end) = (self.family.name(), self.end);
        format!("/api/agents/{}/metrics?type={name}&start={}&end={end}", agent.id, end - self.span_ms)
    }

    async fn answer(&self, agent: &AgentHandle) -> Result<Answer, BenchError> {
        let path = self.path(agent);
        let body = self.subject.get(&path).await?;
        let body = body.ok_or_else(|| BenchError::Answer(format!("nothing to GET {path}")))?;
        serde_json::from_slice(&body).map_err(|error| BenchError::Answer(format!("no chart: {error}")))
    }

    async fn api(&self, agent: &AgentHandle) -> Result<Duration, BenchError> {
        let started_at = Instant::now();
        self.subject.get(&self.path(agent)).await?;
        Ok(started_at.elapsed())
    }

    /// Prepares the statements of a tier: the chart, and percentiles if the response has any.
    async fn prepare_chart(&self, tier: Tier, answer: &Answer) -> Result<Vec<Prepared>, BenchError> {
        let tiers = Tier::ALL.into_iter().rev().filter(|other| *other <= tier).collect();
        let statement = statements::chart(self.family.declaration(), tier);
        let mut all = vec![self.prepare(&statement, self.family.table(), tiers, answer).await?];
        if answer.series.iter().any(|series| series.p95.is_some())
            && let Some(statement) = statements::percentiles(self.family, tier)
        {
            let tiers = [Tier::OneDay, Tier::OneHour, Tier::Raw].into_iter().filter(|other| *other <= tier);
            let relation = format!("{}_histogram", self.family.name());
            all.push(self.prepare(&statement, &relation, tiers.collect(), answer).await?);
        }
        Ok(all)
    }

    /// Prepares a statement with the same bounds as the server's.
    async fn prepare(
        &self,
        sql: &str,
        relation: &str,
        tiers: Vec<Tier>,
        answer: &Answer,
    ) -> Result<Prepared, BenchError> {
        let mut bounds = vec![answer.start];
        for tier in tiers {
            let reached = bounds.last().copied().unwrap_or(answer.start);
            let until = if tier == Tier::Raw {
                Some(answer.end)
            } else {
                let sql = "SELECT pika_rollup_watermark($1, $2)";
                let rollup = format!("{relation}_{}", tier.name());
                self.client.query_one(sql, &[&rollup, &tier.name()]).await?.get::<_, Option<i64>>(0)
            };
            bounds.push(until.unwrap_or(answer.start).clamp(reached, answer.end.max(reached)));
        }
        Ok(Prepared { statement: self.client.prepare(sql).await?, bounds })
    }

    /// Runs statements sequentially and fetches their rows. Also returns the rows of the first.
    async fn sql(
        &self,
        agent: &AgentHandle,
        answer: &Answer,
        statements: &[Prepared],
    ) -> Result<(Duration, Vec<Row>), BenchError> {
        let started_at = Instant::now();
        let mut first = Vec::new();
        for Prepared { statement, bounds } in statements {
            let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&agent.key, &answer.interval_ms];
            parameters.extend(bounds.iter().map(|bound| bound as &(dyn ToSql + Sync)));
            let rows = self.client.query(statement, &parameters).await?;
            if first.is_empty() {
                first = rows;
            }
        }
        Ok((started_at.elapsed(), first))
    }

    /// Checks that all three give the same chart, without which their times mean nothing, and returns its number of
    /// rows.
    async fn check(
        &self,
        agent: &AgentHandle,
        answer: &Answer,
        bare: &[Prepared],
        from_raw: &[Prepared],
    ) -> Result<usize, BenchError> {
        let (_, rows) = self.sql(agent, answer, bare).await?;
        let (_, raw_rows) = self.sql(agent, answer, from_raw).await?;
        let mut buckets: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let values = |row: &Row| (row.get::<_, i64>(0), row.get::<_, i32>(1), row.get::<_, Option<f64>>(2));
        let is_same = rows.len() == raw_rows.len()
            && rows.iter().map(values).zip(raw_rows.iter().map(values)).all(|(one, other)| {
                let difference = one.2.unwrap_or(0.0) - other.2.unwrap_or(0.0);
                (one.0, one.1) == (other.0, other.1) && difference.abs() <= 1e-6 * one.2.unwrap_or(0.0).abs()
            });
        if buckets != answer.timestamps || answer.series.is_empty() || !is_same {
            let name = self.family.name();
            return Err(BenchError::Answer(format!("another {name} chart than SQL does")));
        }
        Ok(rows.len())
    }
}
