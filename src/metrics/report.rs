//! What the sensor tells the process that shows it: a line of state, then a page.
//!
//! Owns: the form of reports. In: reports. Out: bytes, and reports again. Never: half a page.

use std::io::{self, BufRead, Read, Write};

/// Bytes of a page at most.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a line of state at most.
const LINE_BYTES_MAX: u64 = 4_096;

/// How the sensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It captures, and time passes.
    Ready,
    /// It does not, and why.
    Waiting(String),
    /// It is about to end.
    Stopping,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it is.
    pub state: State,
    /// The page of metrics.
    pub page: String,
}

impl Report {
    /// Writes it.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (word, why) = match &self.state {
            State::Ready => ("ready", ""),
            State::Waiting(why) => ("waiting", why.as_str()),
            State::Stopping => ("stopping", ""),
        };
        let why = why.replace(['\n', '\r'], " ");
        let head = format!("{word} {} {why}\n", self.page.len());
        out.write_all(head.as_bytes())?;
        out.write_all(self.page.as_bytes())?;
        out.flush()
    }

    /// Reads one; none at the end.
    pub fn read(input: &mut impl BufRead) -> io::Result<Option<Report>> {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut line = String::new();
        if input.take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.trim_end().splitn(3, ' ');
        let (word, length) = (words.next(), words.next());
        let why = words.next().unwrap_or_default().to_owned();
        let state = match word {
            Some("ready") => State::Ready,
            Some("waiting") => State::Waiting(why),
            Some("stopping") => State::Stopping,
            _ => return Err(wrong("no line of state")),
        };
        let length: u64 = length.and_then(|text| text.parse().ok()).ok_or(wrong("no length"))?;
        if length > PAGE_BYTES_MAX {
            return Err(wrong("a page of more than 16 MiB"));
        }
        let mut page = String::new();
        input.take(length).read_to_string(&mut page)?;
        if page.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Report { state, page }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_half_of_it_is_no_report() {
        let of = |state| Report { state, page: "a 1\nb 2\n".to_owned() };
        let all = [of(State::Ready), of(State::Waiting("no packets".into())), of(State::Stopping)];
        let mut bytes = Vec::new();
        all.iter().for_each(|report| report.write(&mut bytes).unwrap());
        let mut rest = &bytes[..];
        let read: Vec<Report> = std::iter::from_fn(|| Report::read(&mut rest).unwrap()).collect();
        assert_eq!(read, all);
        let mut first = Vec::new();
        all[0].write(&mut first).unwrap();
        for cut in 1..first.len() {
            assert!(Report::read(&mut &bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Report::read(&mut &b"ready 99999999999 \n"[..]).is_err());
    }
}
