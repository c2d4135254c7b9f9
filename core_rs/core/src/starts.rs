//! Folding the start of a gateway and of a venue's session.

use crate::record::{Epoch, FOLD_VERSION, SessionOpened};
use crate::state::{Broken, Clocks, Lane, State};

/// Since this fold version a gateway journals that it ended as it should.
const CLEAN_STOPS: u32 = 4;

impl State {
    pub(crate) fn begin_epoch(&mut self, body: &Epoch) -> Result<(), Broken> {
        let clocks = &self.clocks;
        if body.fold_version > FOLD_VERSION {
            return Broken::at(
                self.last_seq,
                format_args!("fold version {}, this is {FOLD_VERSION}", body.fold_version),
            );
        }
        if body.epoch <= clocks.epoch || (!clocks.install.is_empty() && clocks.install != body.install) {
            return Broken::at(
                self.last_seq,
                format_args!(
                    "epoch {} of {} after epoch {} of {}",
                    body.epoch, body.install, clocks.epoch, clocks.install
                ),
            );
        }
        self.clocks = Clocks {
            epoch: body.epoch,
            fold_version: body.fold_version,
            install: body.install.clone(),
            journal_ns: body.journal_ns,
            boottime_ns: body.boottime_ns,
            wall_offset_ns: body.wall_offset_ns,
            redis_bound: clocks.redis_bound,
            clean_stop: false,
            // Earlier releases did not tell how they ended: the first start of this one after them asks nobody.
            resume_needed: clocks.resume_needed || (clocks.fold_version >= CLEAN_STOPS && !clocks.clean_stop),
        };
        Ok(())
    }

    /// A new session ends every older one of its venue. LIVE orders without an outcome are in doubt from then on: the
    /// engine journals that for each. PAPER orders are handed over: [`State::session_of`] says so without touching them.
    pub(crate) fn open_session(&mut self, body: &SessionOpened) -> Result<(), Broken> {
        let (session, opened_at) = (self.last_seq, self.last_ts);
        let other = self
            .lanes
            .values()
            .any(|lane| (lane.mode == body.mode) != (lane.venue == body.venue));
        if other {
            return Broken::at(session, format_args!("venue {} does not match the mode's", body.venue));
        }
        let lane = Lane {
            venue: body.venue.clone(),
            mode: body.mode,
            session,
            pid: body.pid,
            opened_at,
        };
        self.lanes.insert(body.venue.clone(), lane);
        Ok(())
    }
}
