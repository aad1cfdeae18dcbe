//! A replica set: initiated once; a member alone is told its new address when the port has changed.

use bson::{Bson, Document, doc};

use super::wire;

const NOT_YET_INITIALIZED: i32 = 94;

/// One member of a set.
pub(super) struct Member<'a> {
    /// The port that it listens on.
    pub(super) port: u16,
    /// The set's name.
    pub(super) set: &'a str,
    /// The address that the set gives to clients.
    pub(super) host: &'a str,
    /// The addresses of all members; empty where this is the only one.
    pub(super) members: &'a [String],
}

impl Member<'_> {
    /// Succeeds once the member serves under its present address: as the primary, or among several as a secondary. Else
    /// does the next step towards that and says how far it is.
    pub(super) async fn serves(&self) -> Result<(), String> {
        let configuration = self.call("replSetGetConfig", doc! { "replSetGetConfig": 1 }).await?;
        if configuration.get_i32("code").is_ok_and(|code| code == NOT_YET_INITIALIZED) {
            if self.members.first().is_some_and(|first| first != self.host) {
                return Err("waiting for the first member to initiate the set".into());
            }
            let alone = [self.host.to_owned()];
            let hosts = if self.members.is_empty() { &alone[..] } else { self.members };
            let members: Vec<_> = (0_i32..).zip(hosts).map(|(id, host)| doc! { "_id": id, "host": host }).collect();
            let set = doc! { "_id": self.set, "members": members };
            return self.step("replSetInitiate", doc! { "replSetInitiate": set }).await;
        }
        if !self.members.is_empty() {
            let hello = self.call("hello", doc! { "hello": 1 }).await?;
            let is = |name: &str| hello.get_bool(name).unwrap_or(false);
            return if is("isWritablePrimary") || is("secondary") { Ok(()) } else { Err("not yet in the set".into()) };
        }
        let mut configuration =
            configuration.get_document("config").map_err(|_| refused("replSetGetConfig", &configuration))?.clone();
        if self.rename(&mut configuration) {
            let command = doc! { "replSetReconfig": configuration, "force": true };
            return self.step("replSetReconfig", command).await;
        }
        let hello = self.call("hello", doc! { "hello": 1 }).await?;
        if hello.get_bool("isWritablePrimary").unwrap_or(false) { Ok(()) } else { Err("not yet the primary".into()) }
    }

    /// Writes the present address into the configuration; whether that changed it.
    fn rename(&self, configuration: &mut Document) -> bool {
        let member = configuration.get_array_mut("members").ok().and_then(|members| members.first_mut());
        let Some(host) = member.and_then(Bson::as_document_mut).and_then(|member| member.get_mut("host")) else {
            return false;
        };
        let changed = host.as_str() != Some(self.host);
        *host = self.host.into();
        changed
    }

    async fn step(&self, name: &str, command: Document) -> Result<(), String> {
        let reply = self.call(name, command).await?;
        Err(if succeeded(&reply) { format!("{name} done") } else { refused(name, &reply) })
    }

    async fn call(&self, name: &str, mut command: Document) -> Result<Document, String> {
        command.insert("$db", "admin");
        wire::call(self.port, &command).await.map_err(|error| format!("{name}: {error}"))
    }
}

/// Servers answer `ok` as a double or an integer.
fn succeeded(reply: &Document) -> bool {
    reply.get("ok").is_some_and(|ok| ok.as_f64() == Some(1.0) || ok.as_i32() == Some(1))
}

fn refused(name: &str, reply: &Document) -> String {
    format!("{name}: {}", reply.get_str("errmsg").unwrap_or("an answer without a reason"))
}
