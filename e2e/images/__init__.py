"""The images of e2e, built from the Dockerfiles that users build, with buildah and without a registry."""
