//! Where passwords come from: a file, the terminal, or chance. Never the command line, which every
//! process of the machine can read, nor the environment.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Output, Stop};
use crate::app::Error;
use crate::app::cli::PasswordArgs;
use crate::model::Secret;

/// Longest line read as a password: more than is allowed, so that the rule tells what is wrong.
const LINE_BYTES: u64 = 8192;

/// Random bytes of a password that is made up: 144 bits.
const RANDOM_BYTES: usize = 18;

/// A password, and whether it still has to be shown to somebody.
pub(super) struct Password {
    pub(super) secret: Secret,
    pub(super) made_up: bool,
}

impl Password {
    /// Gets the new password of `name` from where the command line says, else from the terminal.
    pub(super) fn get(args: &PasswordArgs, name: &str, output: &Output) -> Result<Self, Stop> {
        if args.generate {
            let (secret, made_up) = (make_up(), true);
            return Ok(Self { secret, made_up });
        }
        let secret = match &args.password_file {
            Some(path) => from_file(path)?,
            None => ask(&open_terminal()?, name)?.ok_or_else(|| {
                output.error("entrepot: the two passwords differ; nothing was changed");
                Stop::Told
            })?,
        };
        let made_up = false;
        Ok(Self { secret, made_up })
    }

    /// Prints a password that nobody knows yet.
    pub(super) fn show(&self, output: &Output) {
        if self.made_up {
            output.line(self.secret.expose());
        }
    }
}

fn make_up() -> Secret {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).expect("the system has a source of randomness");
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

fn from_file(path: &Path) -> Result<Secret, Error> {
    let failed = |error| Error::file("read the password in", path, error);
    let line = match path.as_os_str() == "-" {
        true => first_line(io::stdin().lock()),
        false => File::open(path).and_then(first_line),
    };
    line.map_err(failed)
}

/// The first line without its end.
fn first_line(reader: impl Read) -> io::Result<Secret> {
    let mut line = String::new();
    BufReader::new(reader.take(LINE_BYTES)).read_line(&mut line)?;
    let text = line.trim_end_matches(['\n', '\r']);
    match text.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "its first line is empty",
        )),
        false => Ok(Secret::new(text)),
    }
}

fn open_terminal() -> Result<File, Error> {
    let opened = File::options().read(true).write(true).open("/dev/tty");
    opened.map_err(|_| {
        Error::Refused(
            "there is no terminal to ask for the password on; give --password-file FILE (- for \
             standard input) or --generate"
                .to_owned(),
        )
    })
}

/// Asks twice, without showing what is typed; `None` if the two differ.
fn ask(terminal: &File, name: &str) -> Result<Option<Secret>, Error> {
    let failed = |error: io::Error| Error::file("read the password from", "the terminal", error);
    let one = ask_once(terminal, &format!("Password for {name}: ")).map_err(failed)?;
    let other = ask_once(terminal, "The same again: ").map_err(failed)?;
    Ok((one == other).then_some(one))
}

fn ask_once(mut terminal: &File, prompt: &str) -> io::Result<Secret> {
    let silence = Silence::begin(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let line = first_line(terminal);
    drop(silence);
    terminal.write_all(b"\n")?;
    line
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// The two ends of a terminal: that of who types, and that of the program.
    fn terminal() -> (File, File) {
        let typist = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&typist).unwrap();
        unlockpt(&typist).unwrap();
        let name = ptsname(&typist, Vec::new()).unwrap();
        let program = rustix::fs::open(
            name,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        );
        (typist.into(), program.unwrap().into())
    }

    /// Types each line once the terminal shows a question; returns all that it showed, and the end that
    /// keeps the terminal in being.
    fn type_in(mut typist: File, lines: [&'static str; 2]) -> (String, File) {
        let mut shown = Vec::new();
        for line in lines {
            let mut byte = [0];
            while !shown.ends_with(b": ") {
                typist.read_exact(&mut byte).unwrap();
                shown.push(byte[0]);
            }
            shown.push(b'|');
            typist.write_all(line.as_bytes()).unwrap();
        }
        // The end of the second line, which the program writes itself.
        let mut rest = [0; 2];
        typist.read_exact(&mut rest).unwrap();
        shown.extend(rest);
        (String::from_utf8(shown).unwrap(), typist)
    }

    /// SE-01: what is typed is not shown, and the terminal is left as it was.
    #[test]
    fn a_password_is_asked_for_twice_and_never_shown() {
        let (typist, program) = terminal();
        let before = tcgetattr(&program).unwrap().local_modes;
        let typing = thread::spawn(|| type_in(typist, ["secret word\n", "secret word\n"]));
        let asked = ask(&program, "ann").unwrap();
        assert_eq!(asked.unwrap().expose(), "secret word");
        assert!(before.contains(LocalModes::ECHO));
        let (shown, _typist) = typing.join().unwrap();
        assert_eq!(tcgetattr(&program).unwrap().local_modes, before);
        assert!(!shown.contains("secret"), "{shown:?}");
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        for text in ["secret word", "secret word\n", "secret word\r\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).unwrap().expose(), "secret word");
        }
        for text in ["", "\n", "\nsecond"] {
            assert!(first_line(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn passwords_that_are_made_up_are_long_plain_and_different() {
        let (one, other) = (make_up(), make_up());
        assert_eq!(one.expose().len(), 24);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(one != other);
    }
}
