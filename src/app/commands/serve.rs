//! `entrepot serve`: from the configuration to the end of the process.

use super::{Output, Stop, runtime};
use crate::app::cli::{Common, ServeArgs};
use crate::app::serve::{Given, serve};
use crate::config::{Config, ConfigSource, Environment};
use crate::telemetry;

pub(super) fn run(
    common: &Common,
    args: &ServeArgs,
    environment: Environment,
    output: &Output,
) -> Result<(), Stop> {
    let given = Given {
        source: ConfigSource::find(common.config.clone()),
        flags: common.flags(args),
        environment,
    };
    let (config, warnings) = match given.load() {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| output.error(mistake));
            return Err(Stop::Told);
        }
    };
    let logging = telemetry::start(config.log.format, &config.log.level)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    report_proxies(&config);
    runtime()?.block_on(serve(given, config, logging, output))?;
    Ok(())
}

/// Anyone who reaches the port reads what a configured account can read: said at every start.
fn report_proxies(config: &Config) {
    let open = config.upstreams.iter().filter(|rule| rule.anonymous_pull);
    for rule in open.filter(|rule| rule.credentials.is_some()) {
        tracing::warn!(
            organization.name = %rule.organization,
            "everyone who reaches this server can pull what the configured account can read"
        );
    }
}
