#include "internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

// A stream over a non-blocking socket.
//
//  1. A read goes on until the socket has nothing more or the buffer is full; the record that was begun stays in
//     OpenSSL. So afterwards the socket's readiness tells of everything, but where `has_more` says otherwise.
//  2. What ends a read that has already got bytes is told by the next one (`deferred`).
//  3. A stream that failed is not written to again, not even its end.

struct sr_tls_stream {
    SSL *ssl;
    int deferred;
    int is_full;
    int has_failed;
};

static sr_tls_stream *begin(sr_tls_context *context, int descriptor) {
    sr_tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) return NULL;
    stream->ssl = SSL_new((SSL_CTX *)context);
    if (stream->ssl == NULL || SSL_set_fd(stream->ssl, descriptor) != 1) {
        sr_tls_stream_free(stream);
        return NULL;
    }
    return stream;
}

sr_tls_stream *sr_tls_stream_accept(sr_tls_context *context, int descriptor) {
    sr_tls_stream *stream = begin(context, descriptor);
    if (stream != NULL) SSL_set_accept_state(stream->ssl);
    return stream;
}

sr_tls_stream *sr_tls_stream_connect(sr_tls_context *context, int descriptor) {
    sr_tls_stream *stream = begin(context, descriptor);
    if (stream != NULL) SSL_set_connect_state(stream->ssl);
    return stream;
}

void sr_tls_stream_free(sr_tls_stream *stream) {
    if (stream == NULL) return;
    SSL_free(stream->ssl);
    free(stream);
}

static int outcome(sr_tls_stream *stream, int result) {
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ: return SR_TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE: return SR_TLS_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN: return SR_TLS_ENDED;
    default:
        stream->has_failed = 1;
        return SR_TLS_FAILED;
    }
}

int sr_tls_handshake(sr_tls_stream *stream) {
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    if (result == 1) return 1;
    int answer = outcome(stream, result);
    return answer == SR_TLS_ENDED ? SR_TLS_FAILED : answer;
}

static int portion(size_t count) { return count > INT_MAX ? INT_MAX : (int)count; }

long sr_tls_read(sr_tls_stream *stream, void *buffer, size_t room) {
    if (stream->deferred != 0) {
        int answer = stream->deferred;
        stream->deferred = 0;
        // 1 stands for the end, which is 0.
        if (answer != SR_TLS_WANTS_WRITE) return answer == 1 ? SR_TLS_ENDED : answer;
    }
    ERR_clear_error();
    size_t total = 0;
    stream->is_full = 0;
    while (total < room) {
        int count = SSL_read(stream->ssl, (char *)buffer + total, portion(room - total));
        if (count > 0) {
            total += (size_t)count;
            continue;
        }
        int answer = outcome(stream, count);
        if (total == 0) return answer;
        if (answer != SR_TLS_WANTS_READ) stream->deferred = answer == SR_TLS_ENDED ? 1 : answer;
        return (long)total;
    }
    stream->is_full = 1;
    return (long)total;
}

int sr_tls_has_more(const sr_tls_stream *stream) { return stream->is_full || stream->deferred != 0; }

long sr_tls_write(sr_tls_stream *stream, const void *bytes, size_t count) {
    if (stream->has_failed) return SR_TLS_FAILED;
    ERR_clear_error();
    size_t total = 0;
    while (total < count) {
        int taken = SSL_write(stream->ssl, (const char *)bytes + total, portion(count - total));
        if (taken > 0) {
            total += (size_t)taken;
            continue;
        }
        int answer = outcome(stream, taken);
        if (total > 0) return (long)total;
        return answer == SR_TLS_ENDED ? SR_TLS_FAILED : answer;
    }
    return (long)total;
}

int sr_tls_end(sr_tls_stream *stream) {
    if (stream->has_failed || SSL_in_init(stream->ssl)) return SR_TLS_FAILED;
    ERR_clear_error();
    int result = SSL_shutdown(stream->ssl);
    return result >= 0 ? 1 : outcome(stream, result);
}

long sr_tls_common_name(const sr_tls_stream *stream, char *text, size_t room) {
    if (SSL_get_verify_result(stream->ssl) != X509_V_OK) return -1;
    X509 *certificate = SSL_get0_peer_certificate(stream->ssl);
    if (certificate == NULL) return -1;
    X509_NAME *subject = X509_get_subject_name(certificate);
    int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    // Several names: which one counts is a matter of opinion, and this one is about access.
    if (place < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, place) >= 0) return -1;
    unsigned char *name = NULL;
    int length = ASN1_STRING_to_UTF8(&name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
    if (length < 0) return -1;
    long answer = -1;
    if (length > 0 && (size_t)length <= room && memchr(name, 0, (size_t)length) == NULL) {
        memcpy(text, name, (size_t)length);
        answer = length;
    }
    OPENSSL_free(name);
    return answer;
}
