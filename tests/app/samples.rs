//! Configurations as the product documents print them.

use serde_json::{Value, json};

use crate::harness::process::{Place, Process};
use crate::harness::soon;
use rustix::process::Signal;

/// SC-267: keys as they stand in the documents, among those of a deployment that has no meaning here.
const SAMPLE: &str = "\
FEATURE_USER_INITIALIZE: true
BROWSER_API_CALLS_XHR_ONLY: false
SUPER_USERS:
- quayadmin
FEATURE_USER_CREATION: false
FEATURE_QUOTA_MANAGEMENT: true
FEATURE_BUILD_SUPPORT: True
FEATURE_PROXY_CACHE: true
FEATURE_REPO_MIRROR: true
FEATURE_MAILING: false
AUTHENTICATION_TYPE: Database
AVATAR_KIND: local
DEFAULT_TAG_EXPIRATION: 2w
TAG_EXPIRATION_OPTIONS:
- 2w
PREFERRED_URL_SCHEME: http
SERVER_HOSTNAME: quay.example:8080
SETUP_COMPLETE: true
DATABASE_SECRET_KEY: 0ce4f796-c295-415b-bf9d-b315114704b8
DB_URI: postgresql://quayuser:quaypass@quay.example:5432/quay
DB_CONNECTION_ARGS:
  autorollback: true
  threadlocals: true
BUILDLOGS_REDIS:
  host: quay.example
  password: strongpassword
  port: 6379
USER_EVENTS_REDIS:
  host: quay.example
  password: strongpassword
  port: 6379
DISTRIBUTED_STORAGE_CONFIG:
  default:
  - LocalStorage
  - storage_path: /datastorage/registry
DISTRIBUTED_STORAGE_DEFAULT_LOCATIONS: []
DISTRIBUTED_STORAGE_PREFERENCE:
- default
SECRET_KEY: e9bd34f4-900c-436a-979e-7530e5d74ac8
TESTING: false
USERFILES_LOCATION: default
USERFILES_PATH: userfiles/
";

/// SC-267, SC-324: the sample is accepted; warnings are only about keys that mean nothing here.
#[tokio::test]
async fn the_sample_configuration_passes_check_config() {
    let place = Place::new("");
    std::fs::write(place.path("sample.yaml"), SAMPLE).unwrap();
    let output = place.run(&["check-config", "sample.yaml"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for key in ["DB_URI", "BUILDLOGS_REDIS", "DISTRIBUTED_STORAGE_CONFIG"] {
        assert!(said.contains(key), "{key} in {said}");
    }
    for key in ["SUPER_USERS", "FEATURE_QUOTA_MANAGEMENT", "AVATAR_KIND"] {
        assert!(!said.contains(key), "{key} in {said}");
    }
    assert!(
        !said.contains("strongpassword") && !said.contains("quaypass"),
        "{said}"
    );
    // SC-324: nothing was made by looking at it, and a mistake has its line.
    assert!(!place.path("data").exists());
    let broken = SAMPLE.replace("SUPER_USERS:", "SUPER_USER:");
    std::fs::write(place.path("broken.yaml"), broken).unwrap();
    let output = place.run(&["check-config", "broken.yaml"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(
        said.contains("broken.yaml:3") && said.contains("SUPER_USERS"),
        "{said}"
    );
}

/// SC-008: who is named in `SUPER_USERS` is one after the restart.
#[tokio::test]
async fn a_superuser_is_named_in_the_configuration() {
    let place = Place::new("FEATURE_USER_INITIALIZE: true\nSUPER_USERS: [somebody]\n");
    let mut process = place.serve().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let first = json!({
        "username": "quayadmin", "password": "quaypass12345", "email": "quayadmin@example.com",
        "access_token": true,
    });
    let made = client
        .post(process.url("/api/v1/user/initialize"))
        .header("content-type", "application/json")
        .body(first.to_string());
    let made = soon("a user", answered(made)).await;
    let token = made["access_token"].as_str().expect("a token").to_owned();
    let user = async |process: &Process| -> Value {
        let asked = client.get(process.url("/api/v1/user/")).bearer_auth(&token);
        soon("the user", answered(asked)).await
    };
    // As in Quay, only superusers have the field.
    let before = user(&process).await;
    assert_eq!(
        (&before["username"], &before["super_user"]),
        (&json!("quayadmin"), &Value::Null)
    );
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    place.configure("SUPER_USERS: [quayadmin]\n");
    let process = place.serve().await;
    let user = user(&process).await;
    assert_eq!(
        (&user["username"], &user["super_user"]),
        (&json!("quayadmin"), &json!(true))
    );
}

/// The JSON that a request is answered with.
async fn answered(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}
