//! Rounds of maintenance, and warnings about rollups and the database's own jobs.

use std::collections::HashMap;

use pika_shared::{Clock, chain};

use crate::store::{JobProblem, Maintained, Store, UnhealthyJob};
use crate::telemetry::Instruments;

/// Runs one round: rolls up and drops what is due, and checks the database's jobs.
pub(super) async fn round(store: &Store, clock: &Clock, instruments: &Instruments, warnings: &mut Warnings) {
    match store.maintain(clock.now()).await {
        Ok(maintained) => {
            if !maintained.is_elsewhere {
                warnings.jobs.say(&maintained);
                warnings.rollups.say(&maintained);
                if let Err(error) = store.add_storage_history(clock.now()).await {
                    tracing::warn!(error = %chain(&error), "cannot write down how much space metrics take; retrying");
                }
            }
            if 0 < maintained.chunks_dropped {
                tracing::info!(chunks = maintained.chunks_dropped, "dropped expired chunks");
            }
            if 0 < maintained.readers_ended {
                tracing::warn!(
                    statements = maintained.readers_ended,
                    "ended statements of the role pika_grafana that had run for more than a minute"
                );
            }
            tracing::debug!(changes = maintained.changes_rolled_up, "rolled up");
            instruments.add_maintenance(
                clock.now() / 1_000,
                maintained.unhealthy_jobs.len(),
                maintained.chunks_dropped,
                maintained.held_back.iter().map(|held_back| held_back.n_chunks).sum(),
            );
        }
        Err(error) => {
            instruments.add_maintenance_failure();
            tracing::warn!(error = %chain(&error), "maintenance failed; retrying");
        }
    }
}

/// The state of warnings.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    jobs: JobWarnings,
    rollups: RollupWarnings,
}

/// Counts for how many rounds in a row each relation has had a problem, to warn the 1st, 2nd, 4th, 8th … time.
#[derive(Debug, Default)]
struct RollupWarnings {
    failed: HashMap<String, u64>,
    held_back: HashMap<String, u64>,
}

impl RollupWarnings {
    fn say(&mut self, maintained: &Maintained) {
        let failures = &maintained.refresh_failures;
        for (failure, times) in due(&mut self.failed, failures, |failure| &failure.relation) {
            tracing::warn!(
                relation = %failure.relation,
                error = %failure.message,
                times,
                "a rollup cannot be refreshed; retrying"
            );
        }
        let held_back = &maintained.held_back;
        for (held_back, times) in due(&mut self.held_back, held_back, |held_back| &held_back.relation) {
            tracing::warn!(
                relation = %held_back.relation,
                chunks = held_back.n_chunks,
                complete_until = held_back.complete_until,
                times,
                "expired chunks are kept until their rollups are complete"
            );
        }
    }
}

/// Returns what to warn of now, with the number of rounds in a row.
fn due<'a, T>(
    seen: &mut HashMap<String, u64>,
    found: &'a [T],
    relation: impl Fn(&T) -> &String,
) -> Vec<(&'a T, u64)> {
    seen.retain(|known, _| found.iter().any(|found| relation(found) == known));
    let mut due = Vec::new();
    for one in found {
        let times = seen.entry(relation(one).clone()).or_default();
        *times += 1;
        if times.is_power_of_two() {
            due.push((one, *times));
        }
    }
    due
}

/// Remembers unhealthy jobs, to warn of each the 1st, 2nd, 4th, 8th … time and not in every round.
#[derive(Debug, Default)]
struct JobWarnings {
    unhealthy: HashMap<i32, Seen>,
    has_misreported: bool,
}

#[derive(Debug, Default)]
struct Seen {
    failures: i64,
    times: u64,
}

impl JobWarnings {
    /// Logs changes of the jobs' health.
    fn say(&mut self, maintained: &Maintained) {
        for (job, times) in self.due(&maintained.unhealthy_jobs) {
            let message = match job.problem {
                JobProblem::Fails => "a database job fails",
                JobProblem::DoesNotRun => "a database job does not run",
                JobProblem::DoesNothing => "a database job runs, but its work is not done",
            };
            tracing::warn!(
                job = job.job_id,
                procedure = %job.procedure,
                relation = %job.relation,
                status = %job.last_status,
                failures = job.failures,
                error = job.last_error.as_deref().unwrap_or_default(),
                times,
                "{message}"
            );
        }
        for job in self.recovered(&maintained.unhealthy_jobs) {
            tracing::info!(job, "a database job has recovered");
        }
        let has_misreported = 0 < maintained.misreported_jobs;
        if has_misreported && !self.has_misreported {
            tracing::info!(
                jobs = maintained.misreported_jobs,
                "the database counts jobs as failed although their work is done, as some versions of TimescaleDB do \
                 with some of PostgreSQL; nothing is lost, and an update of either puts it right"
            );
        }
        self.has_misreported = has_misreported;
    }

    /// Returns the jobs to warn of now, with the number of failures, or of rounds in which it had not run.
    fn due<'a>(&mut self, jobs: &'a [UnhealthyJob]) -> Vec<(&'a UnhealthyJob, u64)> {
        let mut due = Vec::new();
        for job in jobs {
            let seen = self.unhealthy.entry(job.job_id).or_default();
            let is_another =
                seen.times == 0 || seen.failures != job.failures || job.problem == JobProblem::DoesNotRun;
            if !is_another {
                continue;
            }
            *seen = Seen { failures: job.failures, times: seen.times + 1 };
            if seen.times.is_power_of_two() {
                due.push((job, seen.times));
            }
        }
        due
    }

    /// Returns the jobs that have recovered.
    fn recovered(&mut self, jobs: &[UnhealthyJob]) -> Vec<i32> {
        let is_unhealthy = |id: &i32| jobs.iter().any(|job| job.job_id == *id);
        self.unhealthy.extract_if(|id, _| !is_unhealthy(id)).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(problem: JobProblem, failures: i64) -> UnhealthyJob {
        UnhealthyJob {
            job_id: 7,
            procedure: "policy_retention".to_owned(),
            relation: "cpu_metrics".to_owned(),
            problem,
            last_status: "Failed".to_owned(),
            failures,
            last_error: Some("disk full".to_owned()),
        }
    }

    #[test]
    fn a_job_that_fails_is_warned_of_more_and_more_rarely() {
        let mut warnings = JobWarnings::default();
        let mut times = Vec::new();
        for failures in 1..=20 {
            // Several rounds between two runs of the job.
            for _ in 0..3 {
                let jobs = [job(JobProblem::Fails, failures)];
                times.extend(warnings.due(&jobs).into_iter().map(|(_, times)| times));
                assert_eq!(warnings.recovered(&jobs), [0; 0]);
            }
        }
        assert_eq!(times, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn a_job_that_does_not_run_is_counted_by_the_round() {
        let mut warnings = JobWarnings::default();
        let jobs = [job(JobProblem::DoesNotRun, 3)];
        let n_warnings: usize = (0..60).map(|_| warnings.due(&jobs).len()).sum();
        assert_eq!(n_warnings, 6);
    }

    #[test]
    fn a_relation_is_warned_of_more_and_more_rarely_until_it_is_well() {
        let mut seen = HashMap::new();
        let mut times = Vec::new();
        let sick = ["cpu_metrics".to_owned()];
        for _ in 0..10 {
            times.extend(due(&mut seen, &sick, |relation| relation).into_iter().map(|(_, times)| times));
        }
        assert_eq!(times, [1, 2, 4, 8]);
        due::<String>(&mut seen, &[], |relation| relation);
        assert_eq!(due(&mut seen, &sick, |relation| relation).len(), 1);
    }

    #[test]
    fn a_job_that_recovers_is_warned_of_anew() {
        let mut warnings = JobWarnings::default();
        for failures in 1..=3 {
            warnings.due(&[job(JobProblem::Fails, failures)]);
        }
        assert_eq!(warnings.recovered(&[]), [7]);
        assert_eq!(warnings.recovered(&[]), [0; 0]);
        assert_eq!(warnings.due(&[job(JobProblem::Fails, 4)]).len(), 1);
    }
}
