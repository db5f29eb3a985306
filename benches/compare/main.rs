//! The comparison: entrepot beside nginx and docker-registry, in the terms of its budgets.
//!
//! `cargo bench` runs it; `docs/benchmarks.md` says what the rows mean. It starts the binary of the same
//! build as its users would, in front of an upstream in this process, and measures it from
//! outside: CPU time and memory from /proc, bytes and times from its own clients. It fails when an
//! answer is wrong, never because something is slow.

mod content;
mod failure;
mod load;
mod measure;
mod options;
mod report;
mod rows;
mod servers;
mod site;
mod tls;
mod upstream;

use std::io::Write as _;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

use failure::{Doing as _, Outcome};
use options::Options;
use site::Site;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody reads it, the code still says it.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let Some(options) = Options::read(std::env::args())? else {
        let said = writeln!(
            std::io::stdout(),
            "nothing to test: `cargo bench` runs the comparison"
        );
        return said.doing("print");
    };
    raise_open_files();
    // One thread for all clients: the servers need the other cores.
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.doing("start a runtime")?.block_on(compare(options))
}

async fn compare(options: Options) -> Outcome<()> {
    let rows = options.rows.clone();
    let site = Site::open(options)?;
    report::print_machine(&site.installed()).doing("print")?;
    let mut lines = Vec::new();
    let mut outcome = Ok(());
    for row in rows {
        match row.measure(&site).await {
            Ok(measured) => lines.extend(measured),
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        }
    }
    // What was measured before a failure is worth its minutes.
    report::print(&lines).doing("print")?;
    outcome
}

/// Hundreds of streams need as many descriptors, here and in the servers, which inherit the limit.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where this is not allowed, the row that needs it says so.
    let _ = setrlimit(Resource::Nofile, raised);
}
