//! What a package ships of the command line: manual pages, completions.

use crate::harness::process::Place;

/// HP-10: a page for each command, none for what is hidden, the same bytes each time.
#[tokio::test]
async fn every_command_has_a_manual_page() {
    let place = Place::new("");
    let page = |folder: &str, name: &str| std::fs::read_to_string(place.path(folder).join(name));
    for folder in ["one", "two"] {
        std::fs::create_dir(place.path(folder)).unwrap();
        assert_eq!(place.run_well(&["man", folder]).await, "");
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place.path("one")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert_eq!(page("one", &name).unwrap(), page("two", &name).unwrap());
        names.push(name);
    }
    for name in ["entrepot.1", "entrepot-serve.1", "entrepot-cache-ls.1"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    assert!(!names.iter().any(|name| name.starts_with("entrepot-man.")));
    let main = page("one", "entrepot.1").unwrap();
    assert!(
        main.contains(".SH SYNOPSIS") && main.contains("docker pull"),
        "{main}"
    );
    let help = place.run_well(&["--help"]).await;
    assert!(!help.contains("completions"), "{help}");
    let refused = place.run_badly(&["man", "absent"]).await;
    assert!(
        refused.contains("cannot write manual pages into absent"),
        "{refused}"
    );
}

#[tokio::test]
async fn shells_complete_every_command() {
    let place = Place::new("");
    for shell in ["bash", "fish", "zsh"] {
        let text = place.run_well(&["completions", shell]).await;
        for word in ["check-config", "self-signed", "data-dir"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}
