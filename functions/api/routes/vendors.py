"""Vendors: the schemas and limits of each, and the release of the bundle."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from clipferry import __version__, vendors
from clipferry.intake.vendor_descriptions import describe
from common import reply

router = APIGatewayRouter()


@router.get("/vendors")
def list_vendors() -> Response[str]:
    described = [describe(vendors.vendor_class(name)) for name in vendors.VENDORS]
    return reply({"version": __version__, "vendors": described})
