// A page that makes a browser a client of this server.
#pragma once

#include <string>

#include "http.hpp"

/// Whether a request asks for the page: a proper GET of "/" that asks for no upgrade.
bool wants_page(const Request& request);

/// The whole response.
std::string page_response();
