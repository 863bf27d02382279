// A Jinja template brought into one spelling, so that its expressions can be compared as text. Nothing is
// executed.
#pragma once
#include <string>
#include <string_view>

namespace pixellm {

// Rewrites a template:
//   - string literals stand between kQuote characters, with escapes resolved;
//   - raw text and expressions become one sum: {{ 'a' + x }}b gives 'a'+x+'b', neighbouring literals are
//   joined;
//   - statements stay as {%...%}, comments go, white space outside literals goes (one space stays between
//   words);
//   - message.role and message.content are written message['role'], message['content'];
//   - white-space control (-, trim_blocks, lstrip_blocks) is applied as chat templates are rendered.
// Linear time; any text gives some result.
std::string canonical_jinja(std::string_view jinja);

constexpr char kJinjaQuote = '\x01';

// The canonical text without what {% if NAME %} guards; a branch after {% else %} or {% elif %} stays.
std::string without_branch(std::string canonical, std::string_view name);

}  // namespace pixellm
