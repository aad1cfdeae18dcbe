//! Spin variables, read once an instance.

use std::cell::RefCell;
use std::rc::Rc;

use spin_sdk::variables::{self, Error};
use wiber_handlers::{Settings, SettingsError};

/// Settings, or what is wrong with them.
type Outcome = Rc<Result<Settings, SettingsError>>;

thread_local! {
    static SETTINGS: RefCell<Option<Outcome>> = const { RefCell::new(None) };
}

/// The component's settings. A variable that `spin.toml` does not give to this component keeps its default.
pub async fn settings() -> Outcome {
    if let Some(known) = SETTINGS.with_borrow(Clone::clone) {
        return known;
    }
    let outcome = Rc::new(read().await);
    // A provider that fails may work the next time.
    if outcome.is_ok() {
        SETTINGS.with_borrow_mut(|known| *known = Some(Rc::clone(&outcome)));
    }
    outcome
}

async fn read() -> Result<Settings, SettingsError> {
    let mut settings = Settings::default();
    for name in Settings::NAMES {
        match variables::get(name).await {
            Ok(value) => settings.set(name, &value)?,
            Err(Error::Undefined(_)) => {}
            Err(other) => return Err(SettingsError { name, detail: format!("cannot be read: {other}") }),
        }
    }
    Ok(settings)
}
