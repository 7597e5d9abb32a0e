//! `pika-bench late`: the cost of rolling up again when some agents of a fleet return with samples that they could not
//! send for hours.

mod outcome;

use std::time::{Duration, Instant};

use clap::Args;
use pika_server::domain::row::Rows;
use pika_server::domain::tier::{HOUR_MS, MINUTE_MS, Tier, bucket_start};
use pika_server::store::{SampleWriter, WriteMethod};
use pika_shared::Clock;

use crate::database::{BenchDatabase, DatabaseOptions};
use crate::error::BenchError;
use crate::history::{History, SimulatedAgent};
use crate::interrupt::Interrupt;
use crate::load::{self, FleetOptions, LoadOptions, LoadedFleet, progress};
use crate::machine::Machine;
use outcome::{Cost, LateReport};

/// Rows of a transaction, as in the server's defaults.
const FLUSH_ROWS: usize = 20_000;
/// How long other sessions may take to report their statistics.
const STATISTICS_DELAY: Duration = Duration::from_millis(300);
/// How often the tiers of hours are refreshed, in minutes.
const HOURS_EVERY: u16 = 15;

/// Options of `pika-bench late`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    fleet: FleetOptions,
    #[command(flatten)]
    load: LoadOptions,
    /// Agents that return late, in addition to the fleet [default: a hundredth of the fleet].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    late_agents: Option<u32>,
    /// How many hours they could not send.
    #[arg(long, default_value_t = 23, value_parser = clap::value_parser!(u32).range(1..=23))]
    backlog_hours: u32,
    /// Minutes over which they return, the same number in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    minutes: u16,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Loads a fleet, measures, and returns the report.
///
/// # Errors
/// If the database cannot be used, or its rollups do not match what the late agents sent.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<String, BenchError> {
    let mut database = BenchDatabase::open(&options.database).await?;
    let report = interrupt.or(Box::pin(measure(options, &mut database))).await;
    let report = database.close(report).await?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn measure(options: &Options, database: &mut BenchDatabase) -> Result<LateReport, BenchError> {
    let loaded = load::load(database, &options.fleet, &options.load).await?;
    let n_late = options.late_agents.unwrap_or(options.fleet.agents.div_ceil(100));
    let late = load::register_late(database, &options.fleet, &loaded, n_late).await?;
    let bench = Bench { database, loaded: &loaded, fleet: &options.fleet };

    progress("minutes in which nobody is late");
    let mut quiet = Cost::default();
    for minute in 1..=options.minutes {
        bench.work(minute, options.minutes, &mut quiet).await?;
    }
    let (mut written, mut rolled) = (Cost::default(), Cost::default());
    let per_minute = late.len().div_ceil(usize::from(options.minutes)).max(1);
    let mut groups = late.chunks(per_minute);
    for minute in 1..=options.minutes {
        let group = groups.next().unwrap_or_default();
        progress(&format!("minute {minute}: {} agents come back", group.len()));
        bench.write_backlog(group, i64::from(options.backlog_hours), &mut written).await?;
        bench.work(minute, options.minutes, &mut rolled).await?;
    }
    progress("an hour later: what was put off is part of the cost");
    bench.finish_hour(&mut rolled).await?;
    bench.check(&late).await?;
    let machine = Machine::inspect(&database.client, &database.info).await?;
    Ok(LateReport {
        machine,
        fleet: options.fleet.clone(),
        late_agents: n_late,
        backlog_hours: options.backlog_hours,
        minutes: options.minutes,
        quiet,
        written,
        rolled,
    })
}

struct Bench<'a> {
    database: &'a BenchDatabase,
    loaded: &'a LoadedFleet,
    fleet: &'a FleetOptions,
}

/// Counters at a moment.
struct Mark {
    at: Instant,
    wal_bytes: i64,
    rows_rolled: i64,
}

impl Bench<'_> {
    /// Writes the backlog of some agents as it arrives: ordered by time, in separate flushes.
    async fn write_backlog(
        &self,
        agents: &[SimulatedAgent],
        hours: i64,
        cost: &mut Cost,
    ) -> Result<(), BenchError> {
        let interval_ms = self.fleet.interval_ms;
        let history = History { agents: agents.to_vec(), start: self.loaded.start, interval_ms };
        let span_ms = self.loaded.end - self.loaded.start;
        let mut writer = SampleWriter::new(self.database.store.clone(), WriteMethod::Copy);
        let mut flush = Rows::default();
        let mark = self.mark().await?;
        for tick in (span_ms - hours * HOUR_MS).max(0) / interval_ms..span_ms / interval_ms {
            history.append_tick(tick, &mut flush);
            if FLUSH_ROWS <= flush.len() {
                cost.rows += writer.write(&std::mem::take(&mut flush)).await?.rows;
            }
        }
        cost.rows += writer.write(&flush).await?.rows;
        self.add_since(&mark, cost).await?;
        Ok(())
    }

    /// Does the work of database and server in a minute.
    async fn work(&self, minute: u16, of: u16, cost: &mut Cost) -> Result<(), BenchError> {
        let mark = self.mark().await?;
        self.database.run_refresh_policies(Tier::OneMinute).await?;
        if minute.is_multiple_of(HOURS_EVERY) || minute == of {
            self.database.run_refresh_policies(Tier::OneHour).await?;
        }
        if minute == of {
            self.database.run_refresh_policies(Tier::OneDay).await?;
        }
        self.database.store.maintain(Clock::system().now()).await?;
        cost.rows += self.add_since(&mark, cost).await?;
        Ok(())
    }

    /// Does the work of the following hour.
    async fn finish_hour(&self, cost: &mut Cost) -> Result<(), BenchError> {
        let mark = self.mark().await?;
        for passed_ms in [HOUR_MS, HOUR_MS + MINUTE_MS] {
            self.database.store.maintain(Clock::system().now() + passed_ms).await?;
            for tier in Tier::ROLLUPS {
                self.database.run_refresh_policies(tier).await?;
            }
        }
        cost.rows += self.add_since(&mark, cost).await?;
        Ok(())
    }

    async fn mark(&self) -> Result<Mark, BenchError> {
        let rows_rolled = self.rows_rolled().await?;
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8";
        let wal_bytes = self.database.client.query_one(sql, &[]).await?.get(0);
        Ok(Mark { at: Instant::now(), wal_bytes, rows_rolled })
    }

    /// Adds time and write-ahead log since the mark to a cost. Returns the number of rollup rows written since.
    async fn add_since(&self, mark: &Mark, cost: &mut Cost) -> Result<u64, BenchError> {
        cost.seconds += mark.at.elapsed().as_secs_f64();
        let now = self.mark().await?;
        cost.wal_bytes += (now.wal_bytes - mark.wal_bytes).unsigned_abs();
        Ok((now.rows_rolled - mark.rows_rolled).unsigned_abs())
    }

    /// Returns the number of rows inserted or updated in rollups since the database was created.
    async fn rows_rolled(&self) -> Result<i64, BenchError> {
        let sql = "SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0)::int8 \
                   FROM pg_stat_user_tables AS chunks \
                   JOIN timescaledb_information.chunks AS of ON (chunk_schema, chunk_name) = (schemaname, relname) \
                   WHERE hypertable_name LIKE '\\_materialized%' OR hypertable_name SIMILAR TO '%\\_1(m|h|d)'";
        let client = &self.database.client;
        client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
        let mut rows: i64 = -1;
        // Other sessions report their statistics a moment later, or when they end.
        loop {
            let counted = client.query_one(sql, &[]).await?.get(0);
            if counted == rows {
                return Ok(rows);
            }
            rows = counted;
            tokio::time::sleep(STATISTICS_DELAY).await;
        }
    }

    /// Checks that every sample of the late agents is in every tier that its time has reached.
    async fn check(&self, late: &[SimulatedAgent]) -> Result<(), BenchError> {
        let keys: Vec<i32> = late.iter().map(|agent| agent.key).collect();
        let client = &self.database.client;
        for tier in Tier::ROLLUPS {
            let until = bucket_start(self.loaded.end - tier.refresh_end_ms(), tier.bucket_ms());
            let count = async |sql: &str| client.query_one(sql, &[&keys, &until]).await;
            let raw = "SELECT count(*) FROM cpu_metrics WHERE agent_key = ANY ($1) AND ts < $2";
            let raw: i64 = count(raw).await?.get(0);
            let rolled = format!(
                "SELECT coalesce(sum(n), 0)::int8 FROM cpu_metrics_{} WHERE agent_key = ANY ($1) AND bucket < $2",
                tier.name()
            );
            let rolled: i64 = count(&rolled).await?.get(0);
            if rolled != raw || (tier == Tier::OneMinute && raw == 0) {
                let message = format!("{} holds {rolled} of {raw} late samples", tier.name());
                return Err(BenchError::Answer(message));
            }
        }
        Ok(())
    }
}
