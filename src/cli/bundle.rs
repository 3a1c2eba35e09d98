//! `longhaul bundle` and `longhaul verify`: a case as one file, and whether it is as it was.
//!
//! Owns: nothing; the work is `bundle`'s. In: results, or a bundle. Out: a bundle; text. Never: a
//! file unpacked.

use std::path::PathBuf;

use crate::bundle::{self, Request, ssh, verify};
use crate::carve::Options;
use crate::cli::{self, ALERTS, CommandResult, RAN, progress::Bar};
use crate::model::escape::escaped;
use crate::model::units;
use crate::pipeline::Progress;
use crate::results::Results;
use crate::sandbox;

/// Arguments of `bundle`.
#[derive(Debug, clap::Args)]
pub(super) struct BundleArgs {
    /// A directory that --out made, or one with the sets of a live run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The bundle to write (tar in zstd), `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Packets of these events only [default: of each incident]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    id: Vec<String>,
    /// No packets
    #[arg(long, conflicts_with_all = ["id", "captures", "verify"])]
    no_packets: bool,
    /// Sign with this Ed25519 key of OpenSSH (without a passphrase)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the captures are now, if they have moved
    #[arg(long, value_name = "DIR")]
    captures: Vec<PathBuf>,
    /// Compare the SHA-256 of captures above 64 MiB, too
    #[arg(long)]
    verify: bool,
    /// No progress bar, no summary
    #[arg(long, short)]
    quiet: bool,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// A file that `longhaul bundle` wrote
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    /// It must be signed by a key of this file: NAME.pub, or allowed signers of OpenSSH
    #[arg(long, value_name = "FILE")]
    allowed: Option<PathBuf>,
}

/// Writes a bundle.
pub(super) fn write(args: &BundleArgs) -> CommandResult {
    let results = Results::open(&args.run).map_err(|e| vec![e])?;
    let request = Request {
        ids: args.id.clone(),
        no_packets: args.no_packets,
        carve: Options { captures: args.captures.clone(), verify: args.verify },
        key: args.key.clone(),
    };
    if request.key.is_some() {
        sandbox::forbid_cores().map_err(|e| vec![e])?;
    }
    let mut bar = Bar::new(args.quiet);
    let out = &args.output;
    let made = bundle::bundle(&results, &request, out, &mut |done, all| bar.tick(done, all));
    bar.done();
    let made = made?;
    let mut notes: Vec<String> = made.notes.iter().map(|note| escaped(note).into()).collect();
    if !args.quiet {
        let files = units::number_of(made.files, "file");
        let slices = units::number_of(made.slices, "slice");
        let signed = match &made.signed_by {
            Some(key) => format!("signed by {key}"),
            None => "not signed".to_owned(),
        };
        let name = out.display().to_string();
        notes.push(format!("{files}, {slices} of them, in {}; {signed}", escaped(&name)));
    }
    cli::print_notes(&notes);
    Ok(RAN)
}

/// Verifies a bundle: 0 as it was made, 1 changed, 2 cannot be told.
pub(super) fn check(args: &VerifyArgs) -> CommandResult {
    let allowed = args.allowed.as_deref().map(ssh::public_keys).transpose();
    let allowed = allowed.map_err(|e| vec![e])?;
    let found = verify::verify(&args.bundle, allowed.as_deref()).map_err(|e| vec![e])?;
    let mut text: String = found.differs.iter().map(|line| format!("{line}\n")).collect();
    let intact = units::number_of(found.intact, "file");
    let signed = match (&found.signed_by, found.allowed) {
        (Some(key), Some(true)) => format!("signed by {key}, which is allowed"),
        (Some(key), Some(false)) => format!("signed by {key}, which is not allowed"),
        (Some(key), None) => {
            format!("signed by {key}; whose key that is, only --allowed can tell")
        }
        (None, _) => "not signed: whoever made the bundle can be anybody".to_owned(),
    };
    let verdict = if found.differs.is_empty() { "intact" } else { "CHANGED" };
    text.push_str(&format!("{verdict}: {intact} as the manifest says; {signed}\n"));
    cli::print(&text)?;
    Ok(if found.differs.is_empty() { RAN } else { ALERTS })
}
