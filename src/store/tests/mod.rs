//! store: tests of the whole room through what its users call.

mod alerts;
mod bounds;
mod coarse;
mod damage;
mod events;
mod forgotten;
mod imports;
mod late;
mod mend;
mod model;
mod names;
mod orders;
mod place;
mod promise;
mod schema;
mod spill;
mod summary;
mod views;
