//! nginx, serving the content as static files: what the kernel gives when nothing is decided.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Server;
use super::process::{Process, free_address, installed};
use crate::content::Content;
use crate::failure::{Doing as _, Outcome};
use crate::load::Target;
use crate::tls::Identity;

/// Where it may be; Debian's is not in everybody's PATH.
const PROGRAMS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

/// Which nginx.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tuning {
    /// As Debian configures it, without its access log.
    Stock,
    /// With all that makes it send files faster.
    Tuned,
}

impl Tuning {
    fn name(self) -> &'static str {
        match self {
            Self::Stock => "nginx stock",
            Self::Tuned => "nginx tuned",
        }
    }

    fn directives(self) -> &'static str {
        match self {
            Self::Stock => "tcp_nopush on;",
            Self::Tuned => {
                "tcp_nopush off; sendfile_max_chunk 0; \
                 open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;"
            }
        }
    }
}

/// An nginx that is installed.
pub(crate) struct Nginx(&'static str);

impl Nginx {
    /// Looks for the program.
    pub(crate) fn find() -> Option<Self> {
        installed(&PROGRAMS, "-v").map(Self)
    }

    /// Starts it in `folder`, which is made, over TLS if it gets an `identity`.
    pub(crate) async fn start(
        &self,
        tuning: Tuning,
        folder: PathBuf,
        content: &Content,
        identity: Option<&Identity>,
    ) -> Outcome<Server> {
        let root = folder.join("root");
        publish(&root, content)?;
        let address = free_address()?;
        let tls = identity.map_or_else(String::new, |identity| {
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;",
                identity.certificate.display(),
                identity.key.display()
            )
        });
        let listen = if identity.is_some() {
            format!("{address} ssl")
        } else {
            address.to_string()
        };
        let config = config(
            &folder,
            &root,
            &listen,
            &format!("{} {tls}", tuning.directives()),
        );
        let path = folder.join("nginx.conf");
        fs::write(&path, config).doing("configure nginx")?;
        let log = folder.join("log");
        let mut command = Command::new(self.0);
        command.arg("-p").arg(&folder).arg("-c").arg(&path);
        command.arg("-e").arg(&log);
        let process = Process::start(command, &log)?;
        let tls = identity.map(|identity| identity.client());
        Server::ready(tuning.name(), Target { address, tls }, process).await
    }
}

/// Puts every body where its path says.
fn publish(root: &Path, content: &Content) -> Outcome<()> {
    for (path, file) in content.paths() {
        let to = root.join(path.trim_start_matches('/'));
        let parent = to.parent().unwrap_or(root);
        fs::create_dir_all(parent).doing("make nginx's folders")?;
        fs::hard_link(file, &to).doing(format_args!("publish {}", to.display()))?;
    }
    Ok(())
}

fn config(folder: &Path, root: &Path, listen: &str, directives: &str) -> String {
    let (folder, root) = (folder.display(), root.display());
    // Workers of a root would drop to a user who cannot look into our folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    // Connections are kept for as many requests as are made: the default of 1000 would measure
    // connecting, and not everywhere.
    format!(
        "daemon off; {user} worker_processes auto; pid {folder}/pid;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n\
           client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;\n\
           fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n\
           access_log off; sendfile on; types_hash_max_size 2048;\n\
           default_type application/octet-stream; keepalive_requests 100000000;\n\
           {directives}\n\
           server {{ listen {listen}; root {root}; }}\n\
         }}\n"
    )
}
