//! Whether a request is signed by the application.

use sha1::{Digest, Sha1};

use super::{APP, Refused, Request};

/// How far a request's time may be off, in milliseconds.
const TOLERANCE_MS: i64 = 300_000;

/// The four headers.
pub struct Signed<'a> {
    pub app_key: &'a str,
    pub nonce: &'a str,
    pub cur_time: &'a str,
    pub check_sum: &'a str,
}

impl<'a> Signed<'a> {
    pub fn of(request: &'a Request) -> Signed<'a> {
        Signed {
            app_key: request.app_key.as_deref().unwrap_or_default(),
            nonce: request.nonce.as_deref().unwrap_or_default(),
            cur_time: request.cur_time.as_deref().unwrap_or_default(),
            check_sum: request.check_sum.as_deref().unwrap_or_default(),
        }
    }

    /// All failures come as 414. The time is looked at by itself: another split of the same text has the
    /// same digest.
    pub fn check(&self, now_ms: i64) -> Result<(), Refused> {
        self.check_with(APP, now_ms)
    }

    fn check_with(&self, secret: &str, now_ms: i64) -> Result<(), Refused> {
        let refuse = |desc: &str| Err(Refused::new(414, desc));
        if self.app_key != APP {
            return refuse("appkey");
        }
        if !(1..=128).contains(&self.nonce.chars().count()) {
            return refuse("nonce");
        }
        let is_decimal = !self.cur_time.is_empty() && self.cur_time.bytes().all(|byte| byte.is_ascii_digit());
        let time_ms = self.cur_time.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
        if !is_decimal || time_ms.is_none_or(|time_ms| (now_ms - time_ms).abs() > TOLERANCE_MS) {
            return refuse("CurTime is expired");
        }
        let digest = Sha1::digest([secret, self.nonce, self.cur_time].concat());
        let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.check_sum != expected { refuse("checksum") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(nonce: &str, cur_time: &str, check_sum: &str, expected: Result<(), &str>) {
        let signed = Signed { app_key: APP, nonce, cur_time, check_sum };
        let checked = signed.check_with("a1b2c3d4e5f6", 1_767_225_600_000);
        assert_eq!(checked, expected.map_err(|desc| Refused::new(414, desc)), "{nonce} {cur_time}");
    }

    #[test]
    fn the_usual_mistakes_are_refused() {
        let time = "1767225600";
        check("abc", time, "a43da69313e3355aba39fb75ae59c191261754f9", Ok(()));
        for mistaken in [
            "0c27d19b39f35689fd92cb2014d22d3d95b90e7c",
            "c31817ad5aceff6933d6276c0d400d3dcfef00b9",
            "f19fbbd07ff7333487286613c3fd2fd01fdf41fc",
            "7e38af1eb70994394973386dcbb3c9e592844d8a",
            "e954288f21e85978947e7a99a4d0ffea",
            "A43DA69313E3355ABA39FB75AE59C191261754F9",
            "",
        ] {
            check("abc", time, mistaken, Err("checksum"));
        }
        // The digest is right, and the time is not.
        check("abc1", "767225600", "a43da69313e3355aba39fb75ae59c191261754f9", Err("CurTime is expired"));
        check("abc", "1767225600000", "", Err("CurTime is expired"));
        check("abc", "+1767225600", "", Err("CurTime is expired"));
        check("abc", "1767225299", "", Err("CurTime is expired"));
        check("", time, "", Err("nonce"));
        check(&"n".repeat(129), time, "", Err("nonce"));
    }
}
