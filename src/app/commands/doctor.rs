//! `entrepot doctor`.

use tokio::sync::mpsc;

use super::{Output, Site, Stop, runtime};
use crate::app::control;
use crate::app::doctor::{self, Examination, Severity, Symptom};
use crate::app::operations::Request;
use crate::config::Config;
use crate::model::Clock;

pub(super) fn run(online: bool, json: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    let mut found = Examination::default();
    found.look("configuration");
    let loaded = Config::load(site.source.clone(), &site.environment, &site.flags);
    match loaded {
        Ok((config, warnings)) => {
            for warning in warnings {
                let then = "`entrepot check-config` shows it in its place";
                found.tell(Severity::Note, warning.to_string(), then);
            }
            runtime()?.block_on(examine(&mut found, &config, online));
        }
        Err(mistakes) => {
            for mistake in mistakes {
                let then = "mend the line; `entrepot check-config` looks again";
                found.tell(Severity::Repairable, mistake.to_string(), then);
            }
        }
    }
    tell(&found, json, output);
    match found.worst() {
        Severity::Note => Ok(()),
        Severity::Repairable => Err(Stop::Told),
        Severity::Lost => Err(Stop::Lost),
    }
}

async fn examine(found: &mut Examination, config: &Config, online: bool) {
    let (_, input) = mpsc::channel(1);
    let request = Request::Check { repair: false };
    let answers = control::call(&config.data_dir, &request, input).await;
    let answers = answers.ok().and_then(Result::ok);
    doctor::examine(found, config, answers, Clock::System.now()).await;
    if online && !config.offline {
        doctor::examine_upstreams(found, config).await;
    }
}

fn tell(found: &Examination, json: bool, output: &Output) {
    let verdict = match found.worst() {
        Severity::Note => "fine",
        Severity::Repairable => "repairable",
        Severity::Lost => "lost",
    };
    for symptom in &found.symptoms {
        match json {
            true => output.line(serde_json::to_value(symptom).expect("texts are JSON")),
            false => line(symptom, output),
        }
    }
    let symptoms = found.symptoms.len();
    match json {
        true => output.line(serde_json::json!({
            "verdict": verdict,
            "checks": found.checks,
            "symptoms": symptoms,
        })),
        false => output.line(format_args!(
            "{verdict}: {} things looked at, {symptoms} to tell",
            found.checks.len()
        )),
    }
}

fn line(symptom: &Symptom, output: &Output) {
    let word = match symptom.severity {
        Severity::Note => "note",
        Severity::Repairable => "repairable",
        Severity::Lost => "LOST",
    };
    output.line(format_args!(
        "{word:<10} {}: {}",
        symptom.check, symptom.what
    ));
    output.line(format_args!("{:<10} do: {}", "", symptom.then));
}
