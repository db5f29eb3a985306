//! Accounts under random work (GC-06): what is counted is what is there.

use super::*;

/// A small generator, so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn the_account_equals_a_recount_after_random_work() {
    for seed in 1..=6_u64 {
        let site = Site::new().await;
        let places = [site.place("a").await, site.place("b").await];
        site.registry.ledger().set_limit(site.namespace, Some(6000));
        let mut dice = Dice(seed * 7919);
        for _ in 0..60 {
            let placed = &places[dice.roll(2) as usize];
            let layers: Vec<_> = (0..=dice.roll(2))
                .map(|_| layer(dice.roll(9) as u8, 200 + 100 * dice.roll(5) as usize))
                .collect();
            let image = Image::new(&layers);
            match dice.roll(5) {
                0 => {
                    let unit = site.unit(placed, image.digest());
                    site.registry.evict(unit).await.unwrap();
                }
                1 => site.registry.touch(site.unit(placed, image.digest())),
                _ => {
                    site.pull(placed, &image, Some(&format!("t{}", dice.roll(4))))
                        .await;
                }
            }
            let ledger = site.registry.ledger();
            assert!(
                ledger.used(site.namespace) <= 6000,
                "seed {seed}: over the cap"
            );
        }
        let held = site.recount().await;
        assert_eq!(site.stored_usage().await, held, "seed {seed}");
        assert_eq!(
            site.registry.ledger().used(site.namespace),
            held,
            "seed {seed}"
        );
        let on_disk: HashSet<_> = site.files().await;
        let rows = site
            .registry
            .store()
            .scan(|tx| tx.blobs().list(None, 1000))
            .await
            .unwrap();
        let rows: HashSet<_> = rows.into_iter().map(|(digest, _)| digest).collect();
        assert_eq!(
            on_disk, rows,
            "seed {seed}: a file without a row, or a row without a file"
        );
    }
}
