//! `spin:variables`: a component reads its own variables, which were resolved at start.

use wasmtime::component::{Accessor, HasSelf};

use crate::app::Missing;
use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::instance::State;

impl Host for State {}

impl<T: Send> HostWithStore<T> for HasSelf<State> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        let component = accessor.with(|mut access| access.get().component.clone());
        Ok(component.variables.get(&name).map_err(|missing| match missing {
            Missing::InvalidName(text) => Error::InvalidName(text),
            Missing::Undefined(text) => Error::Undefined(text),
        }))
    }
}
