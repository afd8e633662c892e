"""Mutation testing of the pure core: does a test notice each small wrong change?"""
