"""What HTTP means to the service, without sockets: routes, bodies, parameters, signatures and policies."""
