//! Discovery for Home Assistant at a real broker: retained while it is switched on, gone when it is not.

use std::fs;

use serde_json::Value;
use system_tests::mosquitto::Mosquitto;
use system_tests::program::Running;
use system_tests::subscriber::Subscriber;

const TOPIC: &str = "homeassistant/device/steward/xj-1/config";

#[test]
fn the_device_comes_and_goes_with_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let config = dir.path().join("steward.toml");
    let write = |enabled: bool| {
        let text = format!(
            "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\nurl = \"{}\"\n\
             [buffer]\ndir = \"{}/buffer\"\n[http]\nenabled = false\n\
             [home_assistant]\nenabled = {enabled}\n\
             [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n\
             [[bay]]\nid = \"b-1\"\nsource = \"nodes\"\ndevice = \"1\"\n",
            broker.url(),
            dir.path().display()
        );
        fs::write(&config, text).unwrap();
    };
    let run = || Running::start(&["run", "--config", &config.display().to_string()]);
    let mut home = Subscriber::start(broker.port, "home", "homeassistant/#");
    let mut box_side = Subscriber::start(broker.port, "box", "steward/v1/t/s/xj-1/#");

    write(true);
    let agent = run();
    home.wait_until("the document", |heard| heard.iter().any(|m| m.topic == TOPIC));
    let document: Value = home.heard.last().unwrap().json.clone();
    // What an entity reads is what the box says.
    let entity = &document["cmps"]["bay_b-1"];
    let topic = entity["state_topic"].as_str().unwrap().to_owned();
    box_side.wait_until("the state", |heard| heard.iter().any(|m| m.topic == topic));
    assert_eq!(document["availability"][0]["topic"], "steward/v1/t/s/xj-1/status");
    assert!(agent.terminate().0.success());
    let mut later = Subscriber::start(broker.port, "later", "homeassistant/#");
    later.wait_until("what is retained", |heard| heard.iter().any(|m| m.retained));

    write(false);
    let agent = run();
    home.wait_until("its end", |heard| heard.iter().any(|m| m.topic == TOPIC && m.text.is_empty()));
    assert!(agent.terminate().0.success());
    // Nothing is left to be taken away, at the broker or on the box.
    let file = dir.path().join("buffer/home-assistant.json");
    assert!(!file.exists());
    let mut agent = run();
    agent.wait_for("link to the broker is up");
    let heard = home.heard.len();
    assert!(agent.terminate().0.success());
    home.listen();
    assert_eq!(home.heard.len(), heard, "{:?}", home.heard.last());
}
