//! HP-06: the packaged program in a root that holds the package and what every system has in /dev: no library, no shell,
//! no certificate, run as its unit runs it, with a service manager that listens.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStderr, Command};

use crate::harness::chance::say;
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::soon;

use super::deb::{is_root, package, unpacked};
use super::units;

/// Any number that is nobody here, as systemd would pick one.
const USER: u32 = 61_987;

/// Where the name service of this test is asked; nobody else's is there.
const NAMES: &str = "127.0.53.117:53";

/// Answers every question for an address with 127.0.0.1, for as long as the test runs. The port is the one that
/// `/etc/resolv.conf` means, which cannot say another.
fn name_service() -> Option<()> {
    let socket = UdpSocket::bind(NAMES).ok()?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&answer(&buffer[..length]), asker);
        }
    });
    Some(())
}

/// RFC 1035, 4.1: the question again, and behind it an A record if that was asked for.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut end = 12;
    while question[end] != 0 {
        end += usize::from(question[end]) + 1;
    }
    let asked = &question[12..end + 5];
    let is_a = question[end + 1..end + 3] == [0, 1];
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(asked);
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

/// The unpacked package, furnished as its administrator and systemd do.
struct Root(TempDir);

impl Root {
    fn new(package: &Path, origin: &Origin) -> Self {
        let root = unpacked(package);
        let path = |name: &str| root.path().join(name);
        let config = std::fs::read_to_string(path("etc/entrepot/config.yaml")).unwrap();
        let mut config = ["8080", "8081", "9091"].iter().fold(config, |text, port| {
            text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0")
        });
        for (upstream, endpoint) in [
            ("docker.io", origin.url_as("by-hosts.test", "")),
            ("quay.io", origin.url_as("by-dns.test", "")),
            ("ghcr.io", "https://by-hosts.test:9".to_owned()),
        ] {
            let line = format!("    upstream: {upstream}\n");
            assert!(config.contains(&line), "{config}");
            config = config.replace(&line, &format!("{line}    endpoint: {endpoint}\n"));
        }
        std::fs::write(path("etc/entrepot/config.yaml"), config).unwrap();
        std::fs::write(path("etc/hosts"), "127.0.0.1 localhost by-hosts.test\n").unwrap();
        let nameserver = NAMES.strip_suffix(":53").unwrap();
        std::fs::write(
            path("etc/resolv.conf"),
            format!("nameserver {nameserver}\n"),
        )
        .unwrap();
        // BindReadOnlyPaths= of the unit.
        std::fs::copy(
            path("usr/share/entrepot/nsswitch.conf"),
            path("etc/nsswitch.conf"),
        )
        .unwrap();
        // PrivateDevices= of the unit has these among others; a static program asks them for its random numbers.
        std::fs::create_dir(path("dev")).unwrap();
        for (name, minor) in [("random", 8), ("urandom", 9)] {
            let device = rustix::fs::makedev(1, minor);
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path("dev").join(name),
                kind,
                0o666.into(),
                device,
            )
            .unwrap();
        }
        // StateDirectory=.
        std::fs::create_dir_all(path("var/lib/entrepot")).unwrap();
        std::os::unix::fs::chown(path("var/lib/entrepot"), Some(USER), Some(USER)).unwrap();
        Self(root)
    }

    /// A command in there, without any variable.
    fn command(&self, user: u32, line: &str) -> Command {
        let mut command = Command::new("/usr/sbin/chroot");
        command
            .arg(format!("--userspec={user}:{user}"))
            .arg(self.0.path())
            .args(line.split(' '))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// The server of the package, in its root.
struct Served {
    child: Child,
    address: SocketAddr,
    log: Lines<BufReader<ChildStderr>>,
}

impl Served {
    async fn start(root: &Root, notify: &str) -> Self {
        let unit = units::unit("entrepot.service");
        let line = units::values(&unit, "ExecStart").remove(0);
        let mut command = root.command(USER, &line);
        let seconds = units::values(&unit, "WatchdogSec").remove(0);
        let seconds: u64 = seconds.trim_end_matches('s').parse().unwrap();
        command
            .env("NOTIFY_SOCKET", format!("@{notify}"))
            .env("WATCHDOG_USEC", (seconds * 1_000_000).to_string())
            .env("STATE_DIRECTORY", "/var/lib/entrepot");
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = soon("the server", lines.next_line()).await.unwrap();
        let line = line.expect("the server says where it is");
        let address = line
            .strip_prefix("serving on http://")
            .unwrap()
            .parse()
            .unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            address,
            log,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}{path}", self.address);
        soon(&url, client.get(&url).send()).await.unwrap()
    }

    async fn end(mut self) -> String {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut said = String::new();
        while let Ok(Some(line)) = soon("the log", self.log.next_line()).await {
            said = format!("{said}\n{line}");
        }
        let status = soon("the end", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

/// HP-04, HP-06, LC-01, LC-03: READY=1 comes, names are found by file and by DNS, a pull goes through, root's
/// commands are heard and others' are not, and SIGTERM ends it with 0.
#[tokio::test]
async fn the_package_runs_in_an_empty_root() {
    let Some(package) = package() else { return };
    if !is_root() {
        return;
    }
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[100_000]);
    origin.push_image("library/app", "v1", &image);
    origin.push_image("team/app", "v1", &image);
    let root = Root::new(&package, &origin);
    let notify = format!("entrepot-test-{}", std::process::id());
    let socket = manager(&notify);
    let served = Served::start(&root, &notify).await;
    assert_eq!(heard(&socket).await, "READY=1");

    assert_eq!(served.get("/readyz").await.status(), 200);
    pulls(&served, "docker.io/library/app", &image).await;
    match name_service() {
        Some(()) => pulls(&served, "quay.io/team/app", &image).await,
        None => say(&format!("skipped: {NAMES} cannot be listened on")),
    }
    // Without /etc/ssl nobody is trusted, and that is what is said.
    assert_eq!(
        served
            .get("/v2/ghcr.io/team/app/manifests/v1")
            .await
            .status(),
        503
    );
    commands(&root).await;

    let said = served.end().await;
    assert!(
        said.contains("this system has no certificate authorities"),
        "{said}"
    );
    assert_eq!(heard(&socket).await, "STOPPING=1");
    let server = root.0.path().join("var/lib/entrepot/entrepot.redb");
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&server.metadata().unwrap()),
        USER
    );
}

/// The service manager's end.
fn manager(name: &str) -> UnixDatagram {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
    socket.set_nonblocking(true).unwrap();
    UnixDatagram::from_std(socket).unwrap()
}

/// The next thing the server tells its manager, but that it lives.
async fn heard(socket: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 100];
        let length = soon("a message", socket.recv(&mut buffer)).await.unwrap();
        let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if said != "WATCHDOG=1" {
            return said;
        }
    }
}

async fn pulls(served: &Served, repository: &str, image: &Image) {
    let manifest = served.get(&format!("/v2/{repository}/manifests/v1")).await;
    assert_eq!(manifest.status(), 200, "{repository}");
    let layer = &image.layers[0];
    let digest = entrepot::oci::Digest::of(layer);
    let blob = served
        .get(&format!("/v2/{repository}/blobs/{digest}"))
        .await;
    assert_eq!(soon("the layer", blob.bytes()).await.unwrap(), layer);
}

/// `entrepot status` as root, as the service's user, and as somebody.
async fn commands(root: &Root) {
    let config = "/usr/bin/entrepot status --config /etc/entrepot/config.yaml";
    for (user, heard) in [(0, true), (USER, true), (USER + 1, false)] {
        let output = soon("a command", root.command(user, config).output())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), heard, "user {user}: {said}");
    }
    let check = "/usr/bin/entrepot check-config --config /etc/entrepot/config.yaml";
    let output = soon("a check", root.command(USER, check).output())
        .await
        .unwrap();
    assert!(output.status.success());
    // The program needs nothing that is not in the package.
    assert!(!root.0.path().join("lib").exists() && !root.0.path().join("bin").exists());
}
