//! A disk of its own for one test, whose power can be cut: ext4 in a file, mounted by a loop device.
//!
//! [`Disk::cut`] stops the file system where it stands, its journal unwritten: what was not synced is gone
//! when it is mounted again, as after a power cut, which no kill can show. Only root may mount; where the
//! test may not, or has no ext4, it says so and ends early. [`Disk::fail`] lets it find an error, after which it
//! takes no more writes, and [`Disk::mend`] looks it over.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::ioctl::{Setter, ioctl};

use super::soon;

/// `EXT4_IOC_SHUTDOWN` of Linux, `_IOR('X', 125, __u32)`.
const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;

/// Nothing more is written, not even the journal (`EXT4_GOING_FLAGS_NOLOGFLUSH`).
const WITHOUT_LOG: u32 = 2;

/// A mounted disk.
pub(crate) struct Disk {
    image: PathBuf,
    path: PathBuf,
}

impl Disk {
    /// Makes a disk of so many bytes, kept in the file `image`, and mounts it at `path`.
    pub(crate) fn mount(image: PathBuf, path: PathBuf, bytes: u64) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let made = File::create_new(&image).and_then(|file| file.set_len(bytes));
        made.unwrap();
        let disk = Self { image, path };
        let is_made = run(Command::new("mkfs.ext4").arg("-q").arg(&disk.image));
        if is_made && disk.mount_again() {
            return Some(disk);
        }
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no disk can be made and mounted"
        );
        None
    }

    /// Without what ext4 does for programs that forget to sync before they rename.
    fn mount_again(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,noauto_da_alloc"]);
        run(mount.args([&self.image, &self.path]))
    }

    /// Cuts the power.
    #[expect(
        unsafe_code,
        reason = "no library wraps this request: it reads one u32, which outlives the call"
    )]
    pub(crate) fn cut(&self) {
        let folder = File::open(&self.path).unwrap();
        let request = unsafe { Setter::<SHUTDOWN, u32>::new(WITHOUT_LOG) };
        unsafe { ioctl(&folder, request) }.unwrap();
    }

    /// Lets the file system find an error: from here on it refuses every write, until it was looked over.
    pub(crate) fn fail(&self) {
        assert!(self.remount("errors=remount-ro"));
        let device = self.device();
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(trigger, "a test\n").unwrap();
    }

    /// The loop device under it, by its name in the kernel.
    fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let path = self.path.to_str().unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(path));
        let device = mount.and_then(|line| line.strip_prefix("/dev/")?.split(' ').next());
        device.expect("it is mounted").to_owned()
    }

    /// Has it looked over and mounted again, once nobody has it open any more.
    pub(crate) async fn mend(&self) {
        self.unmounted().await;
        // 1 says that errors were corrected.
        let mut check = Command::new("e2fsck");
        let checked = check.arg("-fy").arg(&self.image).output().unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        assert!(self.mount_again(), "the disk can be mounted again");
    }

    /// Mounts it otherwise: `ro` for reading only, `rw`; whether that could be done.
    pub(crate) fn remount(&self, how: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.arg("-o").arg(format!("remount,{how}"));
        run(mount.arg(&self.path))
    }

    async fn unmounted(&self) {
        soon("the end of all who use the disk", async {
            while !run(Command::new("umount").arg(&self.path)) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Turns it on again, once nobody has it open any more.
    pub(crate) async fn turn_on(&self) {
        self.unmounted().await;
        assert!(self.mount_again(), "the disk can be mounted again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what the site has open lets go of it a moment later.
        run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

fn run(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
