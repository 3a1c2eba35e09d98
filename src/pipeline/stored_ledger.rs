//! The ledger in a state directory: a snapshot, and a journal of what has changed since.
//!
//! A live run appends to the journal once a second, before its alerts go to the outputs, and calls
//! fsync where an alert is among it; so an alert that anybody has seen is known after a kill or a
//! loss of power. Every five minutes a new snapshot takes the place of both. A run over files
//! writes a snapshot once its results are there.
//!
//! Owns: the two files. In: a ledger, its journal. Out: the same ledger after a restart. Never: a
//! file that is half written, or one overwritten that could not be read.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::bounded;
use crate::detect::ledger::{HEAD, Ledger, LedgerConfig, StoreError, records};
use crate::model::Error;
use crate::sinks::files::OutFile;

/// The files in a state directory.
pub const SNAPSHOT: &str = "ledger";
/// The same of what has changed.
pub const JOURNAL: &str = "ledger.journal";

/// Most bytes of a file: more than any budget lets a run write.
const BYTES_MAX: u64 = 16 << 30;

/// The files of a ledger. The directory is locked by whoever opened it.
#[derive(Debug)]
pub struct StoredLedger {
    dir: PathBuf,
    generation: u64,
    journal: Option<File>,
    /// Bytes at the end of the journal that a killed run left half written.
    pub cut: u64,
}

impl StoredLedger {
    /// Reads the ledger of a directory; an empty one where there is none.
    ///
    /// Errors: a file cannot be read, is damaged, of another version or something else. It stays
    /// as it is.
    pub fn open(dir: &Path, config: LedgerConfig) -> Result<(StoredLedger, Ledger), Error> {
        let mut stored =
            StoredLedger { dir: dir.to_path_buf(), generation: 0, journal: None, cut: 0 };
        let journal = dir.join(JOURNAL);
        let Some(bytes) = read(&dir.join(SNAPSHOT))? else {
            if journal.exists() {
                let cause = format!("there is no file `{SNAPSHOT}` beside it");
                let help = format!("put `{SNAPSHOT}` back, or move this aside to begin anew");
                return Err(Error::new(format!("state {}", journal.display()), cause).help(help));
            }
            return Ok((stored, Ledger::new(config)));
        };
        let decoded = Ledger::decode(config, &bytes);
        let (mut ledger, generation) = decoded.map_err(|why| problem(&dir.join(SNAPSHOT), why))?;
        stored.generation = generation;
        if let Some(bytes) = read(&journal)? {
            let cut = replay(&mut ledger, generation, &bytes);
            stored.cut = cut.map_err(|why| problem(&journal, why))?;
        }
        Ok((stored, ledger))
    }

    /// Writes all of the ledger, and begins the journal that goes with it, where there is one.
    ///
    /// Errors: that failed; what was there before is whole.
    pub fn save(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let generation = self.generation + 1;
        replace(&self.dir.join(SNAPSHOT), &ledger.encode(generation))?;
        // From here on the old journal is an earlier snapshot's, and means nothing.
        self.generation = generation;
        self.journal = None;
        let path = self.dir.join(JOURNAL);
        replace(&path, &Ledger::journal_head(generation))?;
        let open = File::options().append(true).open(&path);
        self.journal = Some(open.map_err(|cause| writing(&path, &cause))?);
        Ok(())
    }

    /// Appends records; with `lasting`, they are on disk when this returns.
    ///
    /// Errors: they are not, and none can be appended before the next snapshot.
    pub fn append(&mut self, records: &[u8], lasting: bool) -> Result<(), Error> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let written = journal.write_all(records).and_then(|()| match lasting {
            true => journal.sync_data(),
            false => Ok(()),
        });
        written.map_err(|cause| {
            self.journal = None;
            writing(&self.dir.join(JOURNAL), &cause)
        })
    }
}

/// Does again what a journal says, where it belongs to the snapshot; how many bytes at its end are
/// no whole record.
fn replay(ledger: &mut Ledger, snapshot: u64, bytes: &[u8]) -> Result<u64, StoreError> {
    let generation = Ledger::journal_generation(bytes)?;
    if generation > snapshot {
        return Err(StoreError::Damaged("it goes with a later snapshot"));
    }
    if generation < snapshot {
        return Ok(0);
    }
    let rest = bytes.get(HEAD..).unwrap_or_default();
    let (all, whole) = records(rest)?;
    all.into_iter().try_for_each(|record| ledger.replay(record))?;
    Ok((rest.len() - whole) as u64)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if fs::metadata(path).is_err_and(|cause| cause.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    bounded::file::read(path, BYTES_MAX).map(Some).map_err(|cause| {
        Error::new(format!("state {}", path.display()), cause)
            .help("check that this user may read it; it was not changed")
    })
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = OutFile::replace(path)?;
    file.write(bytes)?;
    file.finish()
}

fn problem(path: &Path, why: StoreError) -> Error {
    let help = match why {
        StoreError::NotThis => {
            "it was not changed; name another directory, or move it aside to begin anew"
        }
        StoreError::Version(_) => {
            "it was not changed; use the longhaul that wrote it, or move it aside to begin anew"
        }
        StoreError::Damaged(_) => {
            "it was not changed; put a copy back, or move it aside to begin anew"
        }
    };
    Error::new(format!("state {}", path.display()), why.to_string()).help(help)
}

fn writing(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(format!("writing {}", path.display()), cause.to_string()).help(
        "after a restart, what was reported since the last snapshot may be reported again; \
               the next snapshot follows within five minutes",
    )
}
