//! Status codes (RFC 2326 section 7.1.1).

use core::fmt;

/// A three-digit status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($code:literal $name:ident $reason:literal;)*) => {
        impl Status {
            $(#[doc = concat!($code, " ", $reason, ".")] pub const $name: Status = Status($code);)*

            /// The phrase that goes with the code; that of its class when the code is unknown.
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    100..=199 => "Informational",
                    200..=299 => "Success",
                    300..=399 => "Redirection",
                    400..=499 => "Client Error",
                    _ => "Server Error",
                }
            }
        }

        #[cfg(test)]
        const ALL: &[Status] = &[$(Status::$name,)*];
    };
}

statuses! {
    100 CONTINUE "Continue";
    200 OK "OK";
    201 CREATED "Created";
    250 LOW_ON_STORAGE_SPACE "Low on Storage Space";
    300 MULTIPLE_CHOICES "Multiple Choices";
    301 MOVED_PERMANENTLY "Moved Permanently";
    302 MOVED_TEMPORARILY "Moved Temporarily";
    303 SEE_OTHER "See Other";
    304 NOT_MODIFIED "Not Modified";
    305 USE_PROXY "Use Proxy";
    400 BAD_REQUEST "Bad Request";
    401 UNAUTHORIZED "Unauthorized";
    402 PAYMENT_REQUIRED "Payment Required";
    403 FORBIDDEN "Forbidden";
    404 NOT_FOUND "Not Found";
    405 METHOD_NOT_ALLOWED "Method Not Allowed";
    406 NOT_ACCEPTABLE "Not Acceptable";
    407 PROXY_AUTHENTICATION_REQUIRED "Proxy Authentication Required";
    408 REQUEST_TIMEOUT "Request Time-out";
    410 GONE "Gone";
    411 LENGTH_REQUIRED "Length Required";
    412 PRECONDITION_FAILED "Precondition Failed";
    413 REQUEST_ENTITY_TOO_LARGE "Request Entity Too Large";
    414 REQUEST_URI_TOO_LARGE "Request-URI Too Large";
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type";
    451 PARAMETER_NOT_UNDERSTOOD "Parameter Not Understood";
    452 CONFERENCE_NOT_FOUND "Conference Not Found";
    453 NOT_ENOUGH_BANDWIDTH "Not Enough Bandwidth";
    454 SESSION_NOT_FOUND "Session Not Found";
    455 METHOD_NOT_VALID_IN_THIS_STATE "Method Not Valid in This State";
    456 HEADER_FIELD_NOT_VALID "Header Field Not Valid for Resource";
    457 INVALID_RANGE "Invalid Range";
    458 PARAMETER_IS_READ_ONLY "Parameter Is Read-Only";
    459 AGGREGATE_NOT_ALLOWED "Aggregate Operation Not Allowed";
    460 ONLY_AGGREGATE_ALLOWED "Only Aggregate Operation Allowed";
    461 UNSUPPORTED_TRANSPORT "Unsupported Transport";
    462 DESTINATION_UNREACHABLE "Destination Unreachable";
    500 INTERNAL_SERVER_ERROR "Internal Server Error";
    501 NOT_IMPLEMENTED "Not Implemented";
    502 BAD_GATEWAY "Bad Gateway";
    503 SERVICE_UNAVAILABLE "Service Unavailable";
    504 GATEWAY_TIMEOUT "Gateway Time-out";
    505 VERSION_NOT_SUPPORTED "RTSP Version Not Supported";
    551 OPTION_NOT_SUPPORTED "Option Not Supported";
}

impl Status {
    /// The status with this code; `None` when it has not three digits.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            100..=999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether it is a 2xx.
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=299)
    }

    /// Whether it is a 3xx.
    pub const fn is_redirect(self) -> bool {
        matches!(self.0, 300..=399)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_three_digits_and_ascend() {
        assert!(ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Status::new(99), None);
        assert_eq!(Status::new(454), Some(Status::SESSION_NOT_FOUND));
        assert_eq!(Status::new(499).unwrap().reason(), "Client Error");
    }
}
