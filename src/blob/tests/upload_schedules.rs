//! Uploads against a model: random visits, cuts, restarts and power cuts.

use std::fs;

use super::*;

/// One upload and what is known of it.
struct Run {
    site: Site,
    random: Random,
    /// What the client means to push.
    content: Vec<u8>,
    /// What was appended, as far as it may be in the file.
    appended: Vec<u8>,
    /// How much of it was acknowledged.
    told: usize,
    writer: Option<UploadWriter>,
}

const KEY: u64 = 7;

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let len = random.below(150_000);
        Self {
            site: Site::new(),
            content: noise(len, random.next()),
            random,
            appended: Vec::new(),
            told: 0,
            writer: None,
        }
    }

    /// Opens it, unless it is open; what it has must be what was appended, and all that was told.
    async fn open(&mut self) -> UploadWriter {
        if let Some(writer) = self.writer.take() {
            return writer;
        }
        let writer = self.site.upload(&key(KEY)).await;
        let len = writer.len() as usize;
        assert!(self.told <= len && len <= self.appended.len());
        self.appended.truncate(len);
        let file = fs::read(self.site.upload_path(&key(KEY))).unwrap_or_default();
        assert!(file == self.appended);
        writer
    }

    async fn append(&mut self) {
        let mut writer = self.open().await;
        let start = self.appended.len().min(self.content.len());
        let end = self.content.len().min(start + self.random.below(40_000));
        let mut piece = self.content[start..end].to_vec();
        if self.random.below(40) == 0 {
            piece.push(1);
        }
        self.appended.extend_from_slice(&piece);
        writer.append(piece.into()).await.unwrap();
        assert_eq!(writer.len(), self.appended.len() as u64);
        self.writer = Some(writer);
    }

    async fn pause(&mut self) {
        let paused = self.open().await.pause().await.unwrap();
        assert_eq!(paused, self.appended.len() as u64);
        self.told = self.appended.len();
        let status = self.site.blobs.upload_len(&key(KEY)).await.unwrap();
        assert_eq!(status.unwrap_or(0), paused);
    }

    async fn refuse_a_second_writer(&mut self) {
        let writer = self.open().await;
        let second = self
            .site
            .blobs
            .open_upload(&key(KEY), Algorithm::Sha256)
            .await;
        assert!(matches!(second, Err(Error::UploadBusy { .. })));
        self.writer = Some(writer);
    }

    async fn discard(&mut self) {
        self.writer = None;
        let freed = soon(self.site.blobs.discard_upload(&key(KEY))).await;
        let freed = freed.unwrap() as usize;
        assert!(self.told <= freed && freed <= self.appended.len());
        self.forget();
    }

    /// The process dies; with the power, what was not synced is cut off or turns to zeros.
    async fn crash(&mut self) {
        self.writer = None;
        self.writer = Some(self.open().await);
        let path = self.site.upload_path(&key(KEY));
        let mut left = fs::read(&path).unwrap_or_default();
        let kept = self.told + self.random.below(left.len() - self.told + 1);
        match self.random.below(3) {
            0 => {}
            1 => left.truncate(kept),
            _ => left[kept..].fill(0),
        }
        // The writer's own syncs go on behind it, but it writes no more.
        self.writer = None;
        if path.exists() {
            fs::write(&path, &left).unwrap();
        }
        self.appended = left;
        self.site.reopen();
    }

    /// Returns whether there is a blob.
    async fn finish(&mut self) -> bool {
        let writer = self.open().await;
        let algorithm = [Algorithm::Sha256, Algorithm::Sha512][self.random.below(2)];
        let digest = match self.random.below(8) {
            0 => Digest::with(algorithm, b"something else"),
            _ => Digest::with(algorithm, &self.content),
        };
        let is_right = Digest::with(algorithm, &self.appended) == digest;
        match writer.finish(&digest).await {
            Ok(file) => assert!(is_right && content(&file).await == self.content),
            Err(error) => assert!(!is_right && error.is_mismatch()),
        }
        assert_eq!(self.site.blob_path(&digest).exists(), is_right);
        self.forget();
        assert_eq!(self.site.upload_files(), 0);
        is_right
    }

    fn forget(&mut self) {
        self.appended.clear();
        self.told = 0;
    }
}

/// PR-12, PR-17, CR-06: 200 schedules; no wrong digest, no wrong offset, no byte left after expiry.
#[tokio::test]
async fn any_schedule_ends_in_the_right_blob_or_none() {
    let mut finished = 0;
    for seed in 0..200 {
        let mut run = Run::new(seed);
        let mut is_finished = false;
        for _ in 0..30 {
            match run.random.below(20) {
                0 => run.discard().await,
                1 | 2 => run.crash().await,
                3 => run.refuse_a_second_writer().await,
                4 | 5 => run.writer = None,
                6..9 => run.pause().await,
                _ if run.appended.len() < run.content.len() => run.append().await,
                _ => is_finished = run.finish().await,
            }
            if is_finished {
                finished += 1;
                break;
            }
        }
        println!("schedule {seed}: finished {is_finished}");
        run.discard().await;
        assert_eq!(run.site.upload_files(), 0);
    }
    assert!(finished > 100, "{finished} of 200 got to a blob");
}
