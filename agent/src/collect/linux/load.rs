//! Load averages, from `/proc/loadavg`.

use pika_protocol::LoadMetrics;

use crate::collect::number::finite;
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Collector, Roots, Tick};

/// The load collector.
pub(in crate::collect) struct Load {
    file: ProcFile,
}

impl Load {
    pub(in crate::collect) fn new(roots: &Roots) -> Load {
        Load { file: ProcFile::new(roots.proc.join("loadavg")) }
    }
}

impl Collector for Load {
    type Output = Option<LoadMetrics>;

    fn collect(&mut self, _: Tick) -> Result<Option<LoadMetrics>, CollectError> {
        parse(self.file.read()?).map(Some).ok_or(CollectError::Format("/proc/loadavg"))
    }
}

/// `0.20 0.18 0.12 1/80 11206`: the averages of the last 1, 5 and 15 minutes come first.
fn parse(text: &str) -> Option<LoadMetrics> {
    let mut fields = text.split_ascii_whitespace().map(|field| finite(field.parse().ok()?));
    let mut next = || fields.next()?;
    Some(LoadMetrics { load1: next()?, load5: next()?, load15: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_numbers_are_the_averages() {
        let load = parse("0.25 0.50 12.75 1/80 11206\n").unwrap();
        assert_eq!((load.load1, load.load5, load.load15), (0.25, 0.5, 12.75));
        for text in ["", "0.25 0.50", "a b c", "NaN 0.5 0.5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_a_load() {
        assert!(Load::new(&Roots::default()).collect(Tick { uptime_ms: 1 }).unwrap().is_some());
    }
}
