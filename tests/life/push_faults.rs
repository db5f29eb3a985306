//! The n-th system call of a push, a deletion, a collection, a resumed upload: there the process dies,
//! or the call fails (CR-02, DK-05).
//!
//! n grows until the whole deed survives. In short the calls that make a push durable; with
//! `ENTREPOT_LONG=1` every deed with every call that changes a file.

use super::crash::is_long;
use super::push_crash::Yard;
use super::push_load::At;
use crate::harness::chance::{say, seed};
use crate::harness::process::Process;
use crate::harness::pusher::Cut;
use crate::harness::strace::{Injected, Tracer, has_strace};

/// What is interrupted.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Push,
    Delete,
    Collect,
    Resume,
}

const DEEDS: [Deed; 4] = [Deed::Push, Deed::Delete, Deed::Collect, Deed::Resume];
/// The calls that make content durable, give it its name, write it and take it away.
const CALLS: [&str; 6] = [
    "fdatasync",
    "fsync",
    "rename",
    "pwrite64",
    "unlink",
    "ftruncate",
];

impl Deed {
    /// The calls that are interrupted in it: in short those without which nothing would be durable.
    fn calls(self) -> &'static [&'static str] {
        match self {
            _ if is_long() => &CALLS,
            Self::Push => &CALLS[..3],
            Self::Delete => &CALLS[..1],
            Self::Collect => &CALLS[4..5],
            Self::Resume => &CALLS[2..3],
        }
    }

    /// What must be there for it.
    async fn prepare(self, yard: &mut Yard, at: &At) -> Result<(), Cut> {
        let client = &mut yard.clients[0];
        match self {
            Self::Push => {}
            Self::Delete => {
                let image = client.new_image();
                client.push(at, image, Some("gone".to_owned())).await?;
            }
            Self::Collect => {
                let image = client.new_image();
                client.push(at, image, Some("gone".to_owned())).await?;
                client.delete_manifest(at).await?;
                for _ in 0..3 {
                    client.push_stray(at).await?;
                }
                client.delete_strays(at).await?;
            }
            Self::Resume => {
                while !client.is_in_the_middle() {
                    client.go_on_uploading(at).await?;
                }
            }
        }
        Ok(())
    }

    async fn carry_out(self, yard: &mut Yard, at: &At) -> Result<(), Cut> {
        let place = yard.place.clone();
        let client = &mut yard.clients[0];
        match self {
            Self::Push => {
                let image = client.new_image();
                client.push(at, image, Some("new".to_owned())).await
            }
            Self::Delete => client.delete_manifest(at).await,
            Self::Collect => match place.run(&["gc"]).await.status.success() {
                true => Ok(()),
                false => Err(Cut),
            },
            Self::Resume => {
                while client.is_uploading() {
                    client.go_on_uploading(at).await?;
                }
                Ok(())
            }
        }
    }
}

/// A process that served until a fault came.
struct Interrupted {
    process: Process,
    at: At,
    survived: bool,
}

impl Yard {
    /// Carries a deed out with a fault at the `n`-th `call`.
    async fn interrupt(&mut self, deed: Deed, call: &str, n: usize, how: Injected) -> Interrupted {
        let (process, mut at) = self.serve().await;
        deed.prepare(self, &at).await.unwrap();
        let tracer = Tracer::attach(&process, call, n, how).await;
        at.may_fail = matches!(how, Injected::Error(_));
        let outcome = deed.carry_out(self, &at).await;
        let survived = outcome.is_ok() && at.pusher.get("/v2/").await.is_ok();
        if survived {
            tracer.detach().await;
        }
        Interrupted {
            process,
            at,
            survived,
        }
    }

    /// After the end of the process: everything holds, here and in the server's own eyes, and the next
    /// one goes on where it was.
    async fn is_sound(&mut self, what: &str) {
        let found = self.findings().await;
        assert!(found.is_empty(), "{what}: {found:#?}");
        let (mut process, at) = self.serve().await;
        let wrongs = self.wrongs(&at.pusher, true).await;
        assert!(wrongs.is_empty(), "{what}: {wrongs:#?}");
        Deed::Resume.carry_out(self, &at).await.unwrap();
        Deed::Push.carry_out(self, &at).await.unwrap();
        let wrongs = self.wrongs(&at.pusher, true).await;
        assert!(wrongs.is_empty(), "{what}, later: {wrongs:#?}");
        end(&mut process).await;
    }
}

async fn end(process: &mut Process) {
    process.signal(rustix::process::Signal::KILL);
    process.ended().await;
}

/// CR-02, CR-05, CR-06, GC-06: wherever the process dies, what was acknowledged holds, what was not is
/// whole or is not there, and uploads go on where they were.
#[tokio::test]
async fn a_kill_at_any_call_of_a_push_leaves_nothing_half_done() {
    if !has_strace() {
        return;
    }
    let mut yard = Yard::new(1, seed());
    for deed in DEEDS {
        let mut deaths = 0;
        for call in deed.calls() {
            for n in 1.. {
                let mut run = yard.interrupt(deed, call, n, Injected::Kill).await;
                end(&mut run.process).await;
                yard.is_sound(&format!("{deed:?}, {call} {n}")).await;
                if run.survived {
                    break;
                }
                deaths += 1;
            }
        }
        say(&format!("{deed:?}: {deaths} deaths"));
        assert!(deaths > 0, "{deed:?} was never interrupted");
    }
}

/// CR-02, DK-05: whichever call fails, the step is answered with an error and shows nothing, and what
/// was acknowledged holds.
#[tokio::test]
async fn a_push_whose_disk_fails_at_any_call_is_refused_whole() {
    if !has_strace() {
        return;
    }
    let mut yard = Yard::new(1, seed());
    let (calls, errors): (&[&str], &[&'static str]) = match is_long() {
        true => (&CALLS, &["EIO", "ENOSPC"]),
        false => (&CALLS[..1], &["EIO"]),
    };
    let deeds = if is_long() { &DEEDS[..] } else { &DEEDS[..1] };
    for &deed in deeds {
        for (&call, &error) in calls
            .iter()
            .flat_map(|c| errors.iter().map(move |e| (c, e)))
        {
            let (mut failures, mut survivals) = (0, 0);
            // A failure that nobody notices, as of a hint to the kernel, is not the last of them.
            for n in 1.. {
                let mut run = yard.interrupt(deed, call, n, Injected::Error(error)).await;
                survivals = if run.survived { survivals + 1 } else { 0 };
                failures += usize::from(!run.survived);
                let what = format!("{deed:?}, {error} of {call} {n}");
                // A store that has failed ends its process, perhaps before it can be asked.
                let shown = yard.clients[0].ledger.shows_failed(&run.at.pusher).await;
                assert_ne!(shown, Ok(true), "{what}: what was refused can be seen");
                end(&mut run.process).await;
                yard.is_sound(&what).await;
                if survivals == 3 {
                    break;
                }
            }
            say(&format!("{deed:?}, {error} of {call}: {failures} failures"));
            assert!(failures > 0 || call != "fdatasync", "no {call} failed");
        }
    }
}
