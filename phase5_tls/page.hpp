// A page that makes a browser a client of this server.
#pragma once

#include <string>

#include "http.hpp"

/// Whether a request is about the page: its target is "/", with or without a query, and it asks for
/// no WebSocket.
bool wants_page(const Request& request);

/// The whole response; for HEAD without the page itself. Throws HttpError for a request that is
/// neither GET nor HEAD, or has content.
std::string page_response(const Request& request);
