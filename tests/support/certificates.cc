#include "tests/support/certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace atoll::test {

bool MakeCertificates(const std::string& folder) {
  const auto run = [&folder](const std::string& command) {
    return std::system(absl::StrCat("cd '", folder, "' && ", command, " >/dev/null 2>&1").c_str());
  };
  if (run("openssl version") != 0) return false;
  EXPECT_EQ(run("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 "
                "-subj /CN=test-ca"),
            0);
  for (const std::string name : {"server", "client"}) {
    EXPECT_EQ(run(absl::StrCat("openssl req -newkey rsa:2048 -nodes -keyout ", name, ".key -out ",
                               name, ".csr -subj /CN=", name)),
              0);
    EXPECT_EQ(run(absl::StrCat("printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > ext && "
                               "openssl x509 -req -in ",
                               name,
                               ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                               "-extfile ext -out ",
                               name, ".pem")),
              0);
  }
  return true;
}

}  // namespace atoll::test
