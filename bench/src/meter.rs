//! Measures the resource usage of processes, by reading it periodically until stopped.

use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::error::BenchError;
use crate::proc::{Metered, Usage};
use crate::trend;

/// The resource usage over a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Consumption {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_start_kib: u64,
    pub(crate) memory_end_kib: u64,
    pub(crate) memory_max_kib: u64,
    /// From a linear regression; 0 if the time was too short.
    pub(crate) memory_slope_kib_per_hour: f64,
}

impl Consumption {
    /// Summarizes readings, each with its time in seconds.
    #[expect(clippy::cast_precision_loss, reason = "kibibytes for people")]
    fn of(readings: &[(f64, Usage)]) -> Option<Self> {
        let ((start, first), (end, last)) = (readings.first()?, readings.last()?);
        let points: Vec<_> = readings.iter().map(|(at, usage)| (*at, usage.memory_kib as f64)).collect();
        Some(Self {
            seconds: end - start,
            cpu_seconds: last.cpu_seconds - first.cpu_seconds,
            memory_start_kib: first.memory_kib,
            memory_end_kib: last.memory_kib,
            memory_max_kib: readings.iter().map(|(_, usage)| usage.memory_kib).max()?,
            memory_slope_kib_per_hour: trend::slope(&points).unwrap_or(0.0) * 3_600.0,
        })
    }

    /// Returns the average number of busy cores.
    pub(crate) fn cores(&self) -> f64 {
        if 0.0 < self.seconds { self.cpu_seconds / self.seconds } else { 0.0 }
    }
}

/// Measures `N` processes or groups.
pub(crate) struct Meter<const N: usize> {
    stop: CancellationToken,
    task: JoinHandle<[Vec<(f64, Usage)>; N]>,
}

impl<const N: usize> Meter<N> {
    /// Starts measuring. `None` entries are skipped.
    pub(crate) fn start(metered: [Option<Metered>; N], every: Duration) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut readings = [const { Vec::new() }; N];
            let started_at = Instant::now();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let is_last = tokio::select! {
                    _ = ticks.tick() => false,
                    () = stopped.cancelled() => true,
                };
                for (one, readings) in metered.iter().zip(&mut readings) {
                    if let Some(usage) = one.and_then(Metered::usage) {
                        readings.push((started_at.elapsed().as_secs_f64(), usage));
                    }
                }
                if is_last {
                    return readings;
                }
            }
        });
        Self { stop, task }
    }

    /// Reads a last time and returns the summary.
    pub(crate) async fn finish(self) -> Result<[Option<Consumption>; N], BenchError> {
        self.stop.cancel();
        Ok(self.task.await?.map(|readings| Consumption::of(&readings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumption_is_what_came_in_between() {
        let reading = |at, cpu_seconds, memory_kib| (at, Usage { cpu_seconds, memory_kib });
        let readings = [reading(1.0, 5.0, 100), reading(2.0, 5.5, 300), reading(3.0, 6.0, 200)];
        let used = Consumption::of(&readings).unwrap();
        assert!((used.seconds - 2.0).abs() < 1e-9 && (used.cpu_seconds - 1.0).abs() < 1e-9);
        assert!((used.cores() - 0.5).abs() < 1e-9);
        assert_eq!((used.memory_start_kib, used.memory_end_kib, used.memory_max_kib), (100, 200, 300));
        assert!((used.memory_slope_kib_per_hour - 50.0 * 3_600.0).abs() < 1e-6);
        assert!(Consumption::of(&[]).is_none());
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_measured() {
        let metered = [Some(Metered::Process(std::process::id())), Some(Metered::Process(u32::MAX)), None];
        let meter = Meter::start(metered, Duration::from_millis(1));
        let [own, gone, none] = meter.finish().await.unwrap();
        assert!(0 < own.unwrap().memory_max_kib);
        assert!(gone.is_none() && none.is_none());
    }
}
