// A certificate and its private key, from files.
#pragma once

#include <string>

#include "certificate.hpp"

/// From PEM files: the certificate, then those that vouch for it, if any; and the key. A
/// certificate that has expired is taken, and the log says so: a clock may be wrong. Throws
/// std::runtime_error that names the file at fault, and what is wrong with it.
Certificate read_certificate(const std::string& certificate_file, const std::string& key_file);
