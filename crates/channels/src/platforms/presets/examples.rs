//! Keys with which a preset's file is tried before any merchant has one: nobody has their private halves.

/// A secret that any recipe can read: as text, as hexadecimal and as base64.
pub(super) const SECRET: &[u8] = &[b'0'; 64];

/// Public keys in every writing that a recipe can ask for. Of Ed25519: RFC 8032, section 7.1, test 1.
pub(super) const PUBLIC: [&str; 7] = [
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
    RSA,
    RSA_BASE64,
    CERTIFICATE,
];

/// An RSA key of 2048 bits, made for this.
const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq5yonVpWKnYXm3J5opMA
/kfxepvjUazUOt8sI6DJgUZxdqvzr/ycqNVgcDxQ5yYlqBuaQpWQMw2sMIXIqNtT
l2sN9n19xxM12SiVZj6yKW1LtySai7UG7IN5203nOw/5KLL71GUY7jPJPkwvgxoJ
1XkpiOiZD3ZdZ9OndklCS9uCfrPa2f2y81Hh2L7vg/JxOf+Gl4lBB9JCf0KA817U
JAUKSetI3zQUEADKGz+lv8Cj45vAhw8i/MJ0NVKpppGBHW2D8eUXFSG5thQbSc7e
jXA9Y4al037VwIdzUca6ohkbWLQCJ2TDP94TAsIsyR2u7s8oSjCJ3CSer5ZWbgkS
NQIDAQAB
-----END PUBLIC KEY-----
";

const RSA_BASE64: &str = "\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq5yonVpWKnYXm3J5opMA/kfxepvjUazUOt8sI6DJgUZxdqvzr/ycqNVg\
cDxQ5yYlqBuaQpWQMw2sMIXIqNtTl2sN9n19xxM12SiVZj6yKW1LtySai7UG7IN5203nOw/5KLL71GUY7jPJPkwvgxoJ1XkpiOiZ\
D3ZdZ9OndklCS9uCfrPa2f2y81Hh2L7vg/JxOf+Gl4lBB9JCf0KA817UJAUKSetI3zQUEADKGz+lv8Cj45vAhw8i/MJ0NVKpppGB\
HW2D8eUXFSG5thQbSc7ejXA9Y4al037VwIdzUca6ohkbWLQCJ2TDP94TAsIsyR2u7s8oSjCJ3CSer5ZWbgkSNQIDAQAB";

/// The same key's certificate.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIDBzCCAe+gAwIBAgIUbaaDBZxbG11BkVq1R6kBJXMC1ggwDQYJKoZIhvcNAQEL
BQAwEjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMjEyMDU3MjlaGA8yMTI2MTAy
ODIwNTcyOVowEjEQMA4GA1UEAwwHZXhhbXBsZTCCASIwDQYJKoZIhvcNAQEBBQAD
ggEPADCCAQoCggEBAKucqJ1aVip2F5tyeaKTAP5H8Xqb41Gs1DrfLCOgyYFGcXar
86/8nKjVYHA8UOcmJagbmkKVkDMNrDCFyKjbU5drDfZ9fccTNdkolWY+siltS7ck
mou1BuyDedtN5zsP+Siy+9RlGO4zyT5ML4MaCdV5KYjomQ92XWfTp3ZJQkvbgn6z
2tn9svNR4di+74PycTn/hpeJQQfSQn9CgPNe1CQFCknrSN80FBAAyhs/pb/Ao+Ob
wIcPIvzCdDVSqaaRgR1tg/HlFxUhubYUG0nO3o1wPWOGpdN+1cCHc1HGuqIZG1i0
Aidkwz/eEwLCLMkdru7PKEowidwknq+WVm4JEjUCAwEAAaNTMFEwHQYDVR0OBBYE
FBJ4Tp+0Uhk9lnvd9qifCgQtkWFGMB8GA1UdIwQYMBaAFBJ4Tp+0Uhk9lnvd9qif
CgQtkWFGMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADggEBAEYuWhDp
tnTHvqNAxjftsHc+6Ep2MRpmMuUZZKF69xc5OjBfBhfPSRfWC9j247GfuAfmVSkq
b9ZjOn3185x9i+L41fVH8QpAvGZTeuqpfEs1wJ+flMr4RuWS7Vf7eUltxxw4DaN9
R+KoCthNaFV3kbSWgojJrLlkBPAOwr99NAFtEZLnkZF0FuedxEj1r0ehK+twdHhX
bZ/y61Xa8ar76HhC9+t+UIJf1uMswjKqoHh0HcZqsb/X5ZZ65Xy9Soww0DgAtI8x
BBXqDBgt/Eh8aSIVr53qDOR66D8qh3ZJTwrkEkvHLebymmeuTcM5tEcWAz2Nfq9q
NcUjKUrxUJRGLnw=
-----END CERTIFICATE-----
";
