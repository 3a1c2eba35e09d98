//! The settings of a live run beside those of every run.
//!
//! Owns: the syntax of sizes and spans, defaults and bounds. In: options. Out: a [`LivePlan`], or
//! an error. Never: opens an interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::Plan;
use crate::model::Error;

/// When to finish the files of a run and start new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotate {
    /// After this many seconds, aligned to a multiple of them.
    pub seconds: Option<u64>,
    /// After this many bytes of session lines.
    pub bytes: Option<u64>,
}

/// All settings of a live run.
#[derive(Clone, Debug)]
pub struct LivePlan {
    /// The settings of every run; `inputs` is empty, `filter` is for the kernel.
    pub plan: Plan,
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// Use libpcap instead of our own ring.
    pub by_pcap: bool,
    /// Bytes kept of each frame.
    pub snaplen: u32,
    /// Bytes per interface ring.
    pub ring_bytes: usize,
    /// Whether to capture frames for other stations.
    pub promiscuous: bool,
    /// Whether the card timestamps the frames.
    pub hardware_stamps: bool,
    /// Microseconds to poll the rings before sleeping.
    pub busy_poll_us: u32,
    /// Fanout group of processes that share each interface's flows.
    pub fanout: Option<u16>,
    /// The user to switch to if started as root; `None`: no sandbox at all.
    pub user: Option<String>,
    /// When to rotate files.
    pub rotate: Rotate,
    /// Stops the run after this many seconds.
    pub seconds: Option<u64>,
    /// The socket of the service manager that started this process, if one did.
    pub notify: Option<PathBuf>,
    /// Whether its watchdog waits for signs of life of this process.
    pub watchdog: bool,
}

/// The shortest time of the watchdog: there is a sign of life each second.
const WATCHDOG_LEAST_US: u64 = 3_000_000;

/// Whether the watchdog of the service manager waits for signs of life of the process `own`:
/// `WATCHDOG_USEC` and `WATCHDOG_PID` (sd_watchdog_enabled(3)).
pub fn parse_watchdog(usec: Option<&str>, pid: Option<&str>, own: u32) -> Result<bool, Error> {
    let Some(usec) = usec.filter(|_| pid.is_none_or(|pid| pid.parse() == Ok(own))) else {
        return Ok(false);
    };
    match usec.parse::<u64>() {
        Ok(WATCHDOG_LEAST_US..) => Ok(true),
        _ => Err(Error::new("WATCHDOG_USEC", format!("`{usec}` is less than 3 seconds"))
            .help("set WatchdogSec= of the unit to 30s: there is a sign of life each second")),
    }
}

/// Parses where metrics are shown: `PORT` on the loopback address, or `ADDRESS:PORT`.
pub fn parse_listen(what: &str, word: &str) -> Result<SocketAddr, Error> {
    let port = word.strip_prefix(':').unwrap_or(word).parse::<u16>().ok();
    let loopback = port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    loopback.or_else(|| word.parse().ok()).ok_or_else(|| {
        Error::new(what, format!("`{word}` is no address")).help(
            "give a port such as 9464, which is then open to this machine only, or \
                   ADDRESS:PORT",
        )
    })
}

/// Smallest limit of a results directory: a few sets of a quiet network.
const OUT_MAX_LEAST: u64 = 512 * 1024;

/// Parses the limit of a results directory; `what` names it in errors.
pub fn parse_out_max(what: &str, word: &str) -> Result<u64, Error> {
    parse_bytes(word).filter(|most| *most >= OUT_MAX_LEAST).ok_or_else(|| {
        Error::new(what, format!("`{word}` is no size in bounds"))
            .help("give a size of 512KiB or more, such as 50GiB")
    })
}

/// Parses a span such as `30s`, `15m`, `1h`, `1d` to seconds.
pub fn parse_seconds(word: &str) -> Option<u64> {
    let (number, unit) = split(word)?;
    let factor = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(factor).filter(|n| *n > 0)
}

/// Parses a size such as `64MiB` or `1GB` to bytes.
pub fn parse_bytes(word: &str) -> Option<u64> {
    let (number, unit) = split(word)?;
    let factor = match unit {
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor).filter(|n| *n > 0)
}

fn split(word: &str) -> Option<(u64, &str)> {
    let end = word.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = word.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

impl Rotate {
    /// Adds a span or a size.
    pub fn add(&mut self, word: &str) -> Result<(), Error> {
        match (parse_seconds(word), parse_bytes(word)) {
            (Some(seconds), _) => self.seconds = Some(seconds),
            (_, Some(bytes)) => self.bytes = Some(bytes),
            _ => {
                return Err(Error::new("--rotate", format!("`{word}` is no span and no size"))
                    .help("give a span such as 15m, 1h or 1d, a size such as 1GiB, or both"));
            }
        }
        Ok(())
    }

    /// Whether files are rotated at all.
    pub const fn is_on(&self) -> bool {
        self.seconds.is_some() || self.bytes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_have_units() {
        assert_eq!(
            ["30s", "15m", "1h", "2d"].map(parse_seconds).map(Option::unwrap_or_default),
            [30, 900, 3_600, 172_800]
        );
        assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("1GB"), Some(1_000_000_000));
        for bad in ["", "5", "h", "0s", "-1s", "1 h", "99999999999999999999s", "1x"] {
            assert_eq!((parse_seconds(bad), parse_bytes(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn a_watchdog_waits_for_the_process_that_it_names() {
        let of = |usec, pid| parse_watchdog(usec, pid, 7).ok();
        assert_eq!(of(None, None), Some(false));
        assert_eq!(of(Some("30000000"), None), Some(true));
        assert_eq!(of(Some("30000000"), Some("7")), Some(true));
        assert_eq!(of(Some("30000000"), Some("8")), Some(false));
        for short in ["2999999", "0", "soon"] {
            assert_eq!(of(Some(short), Some("7")), None, "{short}");
        }
    }

    #[test]
    fn rotation_takes_one_span_and_one_size() {
        let mut rotate = Rotate::default();
        assert!(!rotate.is_on());
        rotate.add("1h").unwrap();
        rotate.add("2GiB").unwrap();
        assert_eq!(rotate, Rotate { seconds: Some(3_600), bytes: Some(2 << 30) });
        assert!(rotate.add("often").is_err());
    }
}
