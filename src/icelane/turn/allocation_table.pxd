# The types of the compiled form.

cdef class AllocationTable:
    cdef object _permission_lifetime
    cdef object _channel_lifetime
    cdef object _credential_end
    cdef object _commands
    cdef object _release
    cdef object _on_end
    cdef dict _allocations_by_client
    cdef object _timers

    cpdef object get(self, client)
    cpdef object authorised(self, client, now)
    cpdef object handle_timeout(self, now)
    cpdef object add(self, allocation, relays, lifetime, now)
    cpdef object refresh(self, allocation, relays, lifetime, now)
    cpdef object permit(self, allocation, peer_host, relay, verdict, now)
    cpdef object bind_channel(self, allocation, number, peer, relay, verdict, now)
    cpdef object end(self, client, reason)
    cpdef object next_timeout(self)
    cdef object _set_expiry(self, allocation, relay, at)
    cdef bint _watch_credential(self, allocation, now) except -1
    cdef object _install(self, allocation, permission)
    cdef object _remove_permission(self, allocation, permission)
    cdef object _remove_channel(self, allocation, channel)
    cdef object _end_relay(self, allocation, family, reason)
