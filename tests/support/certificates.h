// Certificates for a test of TLS: an authority, and certificates for 127.0.0.1 that it signed.
#pragma once

#include <string>

namespace atoll::test {

// Makes ca.pem, and NAME.pem and NAME.key for `server` and `client`, in the folder, by the program
// openssl. False where there is no openssl; then the test says so and is skipped.
bool MakeCertificates(const std::string& folder);

}  // namespace atoll::test
