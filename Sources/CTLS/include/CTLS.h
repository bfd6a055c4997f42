#ifndef CTLS_H
#define CTLS_H

// TLS over non-blocking sockets, by OpenSSL: what the server needs of it, without its macros.
//
// A context holds what was configured; it is never changed, a new one takes its place, and streams that were begun
// with the old one keep it. A stream is one connection over a socket that it doesn't own; one thread at a time uses it.

#include <stddef.h>
#include <stdint.h>

typedef struct sr_tls_context sr_tls_context;
typedef struct sr_tls_stream sr_tls_stream;

enum { SR_TLS_1_0 = 1, SR_TLS_1_1 = 2, SR_TLS_1_2 = 4, SR_TLS_1_3 = 8 };
enum { SR_TLS_ASKS_NOT = 0, SR_TLS_ASKS = 1, SR_TLS_REQUIRES = 2 };

/// Texts may be NULL: not set. Their names in messages are the directives'.
typedef struct {
    const char *certificate, *key, *key_password;
    const char *client_certificate, *client_key, *client_key_password;
    const char *ca_file, *ca_directory, *dh_parameters;
    const char *ciphers, *cipher_suites;
    /// Bits of the versions that are spoken.
    int versions;
    /// Certificates of clients: SR_TLS_ASKS_NOT …
    int client_certificates;
    int prefers_own_ciphers;
    int caches_sessions;
    long cache_size, cache_seconds;
} sr_tls_settings;

/// NULL: `error` (terminated) says which directive or file is wrong, and why.
sr_tls_context *sr_tls_context_create(const sr_tls_settings *settings, char *error, size_t room);
/// For connections to other servers: they must have certificates of the authorities; the client's certificate is shown
/// to them, else the server's, if there is one.
sr_tls_context *sr_tls_client_context_create(const sr_tls_settings *settings, char *error, size_t room);
void sr_tls_context_free(sr_tls_context *context);
/// Seconds until the server's certificate ends, negative when it has.
int64_t sr_tls_context_lifetime(const sr_tls_context *context);

/// What a call answers when it did not move bytes.
enum { SR_TLS_ENDED = 0, SR_TLS_WANTS_READ = -1, SR_TLS_WANTS_WRITE = -2, SR_TLS_FAILED = -3 };

/// The server's side of a connection over `descriptor`; NULL: no memory.
sr_tls_stream *sr_tls_stream_accept(sr_tls_context *context, int descriptor);
/// The client's side likewise, with a client's context.
sr_tls_stream *sr_tls_stream_connect(sr_tls_context *context, int descriptor);
void sr_tls_stream_free(sr_tls_stream *stream);
/// 1: done.
int sr_tls_handshake(sr_tls_stream *stream);
/// Bytes read, as many records as there are and as fit.
long sr_tls_read(sr_tls_stream *stream, void *buffer, size_t room);
/// The last read left something behind that the socket's readiness will not tell of.
int sr_tls_has_more(const sr_tls_stream *stream);
/// Bytes that were taken. What was refused must be offered again first (it may have moved).
long sr_tls_write(sr_tls_stream *stream, const void *bytes, size_t count);
/// Says that nothing more will be written (close_notify). 1: said.
int sr_tls_end(sr_tls_stream *stream);

/// Why the last call of this thread failed.
void sr_tls_reason(char *text, size_t room);
/// The one common name of the client's verified certificate; its length, -1: there is none.
long sr_tls_common_name(const sr_tls_stream *stream, char *text, size_t room);

#endif
